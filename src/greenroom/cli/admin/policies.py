"""`greenroom admin policy`."""

from contextlib import suppress
from pathlib import Path

import click

from greenroom.cli.access import CommandRefused
from greenroom.cli.admin.options import Admin, admin_command
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.groups import CommandGroup
from greenroom.cli.options import ending
from greenroom.policies.document import parse_identity_policy, parse_trust_policy
from greenroom.policies.known_actions import unknown_actions
from greenroom.policies.statement import PolicyDocument
from greenroom.policies.text import MalformedPolicyDocument

_VERSIONS = 5
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
_user = click.option("--user", help="Of this user.")
_role = click.option("--role", help="Of this role.")


@click.group(cls=CommandGroup)
def policy() -> None:
    """Policies: what users and roles may do."""


@policy.command("check")
@click.argument("file", type=_FILE)
@click.option("--trust", is_flag=True, help="It is a role's trust policy.")
def check(file: Path, *, trust: bool) -> None:
    """Check a policy document without a service: its form, and that its actions exist."""
    try:
        document = (parse_trust_policy if trust else parse_identity_policy)(document_in(file))
        _check_actions(file, document)
    except MalformedPolicyDocument as error:
        refused = CommandRefused(f"{file}: {error.message}", ExitCode.USAGE)
        raise ending(refused, refused.code) from None
    except CommandRefused as refused:
        raise ending(refused, refused.code) from None
    click.echo(f"{file}: valid")


@policy.command("put")
@click.argument("name")
@click.argument("file", type=_FILE)
@_user
@_role
@admin_command
def put(admin: Admin, name: str, file: Path, user: str | None, role: str | None) -> None:
    """Keep a policy: a user's or role's own, else one that can be attached to many.

    A managed policy that exists gets a new version, which counts at once; of its versions the
    oldest one goes when there are too many.
    """
    _one_holder(user, role)
    document = document_in(file)
    with suppress(MalformedPolicyDocument):  # the service says it better
        for unknown in unknown_actions(parse_identity_policy(document)):
            if not unknown.is_of_another_service:
                click.echo(f"Note: {file}: {unknown}", err=True)
    if user is not None:
        admin.call("iam:PutUserPolicy", UserName=user, PolicyName=name, PolicyDocument=document)
        admin.say(f"put policy {name} of user {user}", {"UserName": user, "PolicyName": name})
    elif role is not None:
        admin.call("iam:PutRolePolicy", RoleName=role, PolicyName=name, PolicyDocument=document)
        admin.say(f"put policy {name} of role {role}", {"RoleName": role, "PolicyName": name})
    else:
        _put_managed(admin, name, document)


@policy.command("list")
@_user
@_role
@admin_command
def list_(admin: Admin, user: str | None, role: str | None) -> None:
    """List the managed policies, or the policies of a user or role."""
    _one_holder(user, role)
    if user is None and role is None:
        found = admin.client.all("iam:ListPolicies", "Policies", Scope="Local")
        rows = [
            (each["PolicyName"], each["DefaultVersionId"], each["AttachmentCount"], each["Arn"])
            for each in found
        ]
        admin.table(("POLICY", "VERSION", "ATTACHED", "ARN"), rows, found)
        return
    kind, holder = ("User", user) if user is not None else ("Role", role)
    of = {f"{kind}Name": holder}
    inline = admin.client.all(f"iam:List{kind}Policies", "PolicyNames", **of)
    attached = admin.client.all(f"iam:ListAttached{kind}Policies", "AttachedPolicies", **of)
    both = [(each, "own") for each in inline]
    both += [(each["PolicyName"], each["PolicyArn"]) for each in attached]
    admin.table(("POLICY", "WHERE"), both, {"PolicyNames": inline, "AttachedPolicies": attached})


@policy.command("remove")
@click.argument("name")
@_user
@_role
@admin_command
def remove(admin: Admin, name: str, user: str | None, role: str | None) -> None:
    """Remove a user's or role's own policy, or a managed one that is attached nowhere."""
    _one_holder(user, role)
    if user is not None:
        admin.call("iam:DeleteUserPolicy", UserName=user, PolicyName=name)
    elif role is not None:
        admin.call("iam:DeleteRolePolicy", RoleName=role, PolicyName=name)
    else:
        arn = _arn(admin, name)
        for version in admin.client.all("iam:ListPolicyVersions", "Versions", PolicyArn=arn):
            if not version["IsDefaultVersion"]:
                version_id = version["VersionId"]
                admin.call("iam:DeletePolicyVersion", PolicyArn=arn, VersionId=version_id)
        admin.call("iam:DeletePolicy", PolicyArn=arn)
    admin.say(f"removed policy {name}", {})


@policy.command("attach")
@click.argument("name")
@_user
@_role
@admin_command
def attach(admin: Admin, name: str, user: str | None, role: str | None) -> None:
    """Attach a managed policy to a user or role."""
    _attach(admin, "Attach", name, user, role)


@policy.command("detach")
@click.argument("name")
@_user
@_role
@admin_command
def detach(admin: Admin, name: str, user: str | None, role: str | None) -> None:
    """Detach a managed policy from a user or role."""
    _attach(admin, "Detach", name, user, role)


def document_in(file: Path) -> str:
    """Return a document's text.

    Raises:
        CommandRefused: the file cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandRefused(f"{file}: {why}", ExitCode.USAGE) from None


def _check_actions(file: Path, document: PolicyDocument) -> None:
    """Note what has no effect here; refuse what has none anywhere.

    Raises:
        CommandRefused: an action is misspelt.
    """
    found = list(unknown_actions(document))
    for unknown in found:
        if not unknown.is_mistake:
            click.echo(f"Note: {file}: {unknown}", err=True)
    mistakes = "; ".join(str(each) for each in found if each.is_mistake)
    if mistakes:
        raise CommandRefused(f"{file}: {mistakes}", ExitCode.USAGE)


def _put_managed(admin: Admin, name: str, document: str) -> None:
    known = {each["PolicyName"].lower(): each["Arn"] for each in _managed(admin)}
    arn = known.get(name.lower())
    if arn is None:
        made = admin.call("iam:CreatePolicy", PolicyName=name, PolicyDocument=document)["Policy"]
        admin.say(made["Arn"], made)
        return
    versions = admin.client.all("iam:ListPolicyVersions", "Versions", PolicyArn=arn)
    if len(versions) >= _VERSIONS:
        oldest = [each for each in versions if not each["IsDefaultVersion"]][-1]["VersionId"]
        admin.call("iam:DeletePolicyVersion", PolicyArn=arn, VersionId=oldest)
    made = admin.call(
        "iam:CreatePolicyVersion", PolicyArn=arn, PolicyDocument=document, SetAsDefault=True
    )["PolicyVersion"]
    admin.say(f"{arn} is now {made['VersionId']}", made)


def _attach(admin: Admin, verb: str, name: str, user: str | None, role: str | None) -> None:
    _one_holder(user, role)
    if user is None and role is None:
        raise click.UsageError("give --user or --role")
    kind, holder = ("User", user) if user is not None else ("Role", role)
    arn = _arn(admin, name)
    admin.call(f"iam:{verb}{kind}Policy", PolicyArn=arn, **{f"{kind}Name": holder})
    done = f"{verb.lower()}ed {arn} {'to' if verb == 'Attach' else 'from'} {kind.lower()} {holder}"
    admin.say(done, {"PolicyArn": arn, f"{kind}Name": holder})


def _arn(admin: Admin, name: str) -> str:
    """Return the ARN of a managed policy, which may be given as itself."""
    if name.startswith("arn:"):
        return name
    for each in _managed(admin):
        if each["PolicyName"].lower() == name.lower():
            return str(each["Arn"])
    raise CommandRefused(f"there is no managed policy {name}", ExitCode.REFUSED)


def _managed(admin: Admin) -> list[dict[str, str]]:
    return admin.client.all("iam:ListPolicies", "Policies", Scope="Local")


def _one_holder(user: str | None, role: str | None) -> None:
    if user is not None and role is not None:
        raise click.UsageError("give --user or --role, not both")
