import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from greenroom.policies.iam_access import FREE_ACTIONS, IDENTITY_ACCESS, identity_checks
from greenroom.policies.ivschat_access import Check

ACCOUNT = "123456789012"
IAM = f"arn:aws:iam::{ACCOUNT}"
VERSIONS = {"iam": "2010-05-08", "sts": "2011-06-15"}
NOT_OPERATIONS = {"sts:TagSession"}


@pytest.mark.parametrize("service", VERSIONS)
def test_actions_and_parameters_are_those_of_the_models(service: str) -> None:
    """Each action names an operation of IAM or STS, and a parameter of it."""
    loader = Loader(
        include_default_search_paths=False, extra_search_paths=[Loader.BUILTIN_DATA_PATH]
    )
    description = loader.load_data(f"{service}/{VERSIONS[service]}/service-2")
    model = ServiceModel(description, service)
    own = {action for action in IDENTITY_ACCESS if action.startswith(f"{service}:")}
    for action in own - NOT_OPERATIONS:
        operation = model.operation_model(action.partition(":")[2])
        parameter = IDENTITY_ACCESS[action].parameter
        known = operation.input_shape.members if operation.input_shape else {}
        special = action == "iam:GetAccessKeyLastUsed"  # it names a key, whose user is found first
        assert parameter is None or special or parameter in known, action


@pytest.mark.parametrize(
    ("action", "parameters", "resources"),
    [
        ("iam:CreateUser", {"UserName": "alice"}, [f"{IAM}:user/alice"]),
        ("iam:CreateUser", {"UserName": "alice", "Path": "/t/"}, [f"{IAM}:user/t/alice"]),
        ("iam:GetUser", {"UserName": "bob"}, [f"{IAM}:user/found/bob"]),
        ("iam:GetUser", {}, [f"{IAM}:user/found/carol"]),
        ("iam:CreateRole", {"RoleName": "r"}, [f"{IAM}:role/r"]),
        ("iam:PutRolePolicy", {"RoleName": "r"}, [f"{IAM}:role/found/r"]),
        ("iam:CreatePolicy", {"PolicyName": "p"}, [f"{IAM}:policy/p"]),
        ("iam:GetPolicy", {"PolicyArn": f"{IAM}:policy/p"}, [f"{IAM}:policy/p"]),
        ("iam:ListUsers", {"PathPrefix": "/"}, ["*"]),
        (
            "iam:SimulatePrincipalPolicy",
            {"PolicySourceArn": f"{IAM}:user/a"},
            [f"{IAM}:user/a"],
        ),
        ("sts:AssumeRole", {"RoleArn": f"{IAM}:role/r"}, [f"{IAM}:role/r"]),
        ("sts:GetCallerIdentity", {}, []),
        ("sts:GetSessionToken", {}, []),
    ],
)
def test_resources(action: str, parameters: dict[str, str], resources: list[str]) -> None:
    """The resource is the user, role or policy that the request means."""
    found = identity_checks(
        action, parameters, ACCOUNT, caller_name="carol", path_of=lambda _target, _name: "/found/"
    )
    assert [check.resource for check in found] == resources


@pytest.mark.parametrize(
    ("action", "tag", "parameters", "resource"),
    [
        ("iam:CreateUser", "iam:TagUser", {"UserName": "n", "Path": "/t/"}, f"{IAM}:user/t/n"),
        ("iam:CreateRole", "iam:TagRole", {"RoleName": "n"}, f"{IAM}:role/n"),
        ("iam:CreatePolicy", "iam:TagPolicy", {"PolicyName": "n"}, f"{IAM}:policy/n"),
    ],
)
def test_creating_with_tags_needs_tagging_too(
    action: str, tag: str, parameters: dict[str, str], resource: str
) -> None:
    """One request that does two things is authorized for both, on the same resource."""
    assert identity_checks(action, parameters, ACCOUNT, tagged=True) == (
        Check(action, resource, exists=False),
        Check(tag, resource, exists=False),
    )
    assert len(identity_checks(action, parameters, ACCOUNT)) == 1


def test_assuming_a_role_with_tags_needs_tag_session() -> None:
    """Session tags need a permission of their own."""
    role = f"{IAM}:role/r"
    assert identity_checks("sts:AssumeRole", {"RoleArn": role}, ACCOUNT, tagged=True) == (
        Check("sts:AssumeRole", role, exists=True),
        Check("sts:TagSession", role, exists=True),
    )


@pytest.mark.parametrize("service", VERSIONS)
def test_every_operation_that_takes_tags_says_what_they_need(service: str) -> None:
    """An operation with tags in its request is the tagging itself, or names that action."""
    model = ServiceModel(
        Loader(
            extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False
        ).load_data(f"{service}/{VERSIONS[service]}/service-2"),
        service,
    )
    for action, access in IDENTITY_ACCESS.items():
        of, _, name = action.partition(":")
        if of != service or action in NOT_OPERATIONS or name.startswith("Tag"):
            continue
        shape = model.operation_model(name).input_shape
        assert ("Tags" in (shape.members if shape else {})) is (access.tags is not None), action


def test_no_action_is_both_free_and_in_the_table() -> None:
    """An action needs permission or none."""
    assert not FREE_ACTIONS & IDENTITY_ACCESS.keys()


def test_the_root_without_a_user_is_no_user() -> None:
    """A caller without a user name who names none asks for all users: nothing narrower fits."""
    (found,) = identity_checks("iam:GetUser", {}, ACCOUNT)
    assert found.resource == f"{IAM}:user/*"
