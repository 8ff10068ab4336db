"""What a request of IAM says: pages, markers, tags and paths."""

import base64
from typing import Any

import pytest

from greenroom.control.long_work import Budget
from tests.control.iam_caller import IamCaller, Refused, policy, trust

SIMULATED: dict[str, Any] = {"PolicyInputList": [policy("a:b")], "ActionNames": ["a:b"] * 3}


def marker(text: str) -> str:
    """Return a marker as a list gives it."""
    return base64.urlsafe_b64encode(text.encode()).decode()


async def refused(calling: Any) -> str:
    """Return the code of a refusal."""
    with pytest.raises(Refused) as error:
        await calling
    return error.value.code


async def tagged_user(*keys: str) -> IamCaller:
    """Return an account with a user who has tags."""
    iam = IamCaller()
    tags: Any = [{"Key": key, "Value": key.upper()} for key in keys]
    await iam("CreateUser", UserName="anna", Tags=tags)
    return iam


async def test_few_items_are_cut_into_pages() -> None:
    """In the order of their keys; a page that has all of the rest says so."""
    iam = await tagged_user("c", "a", "b")
    pages = [await iam("ListUserTags", UserName="anna", MaxItems=2)]
    pages.append(await iam("ListUserTags", UserName="anna", MaxItems=2, Marker=pages[0]["Marker"]))
    assert [[tag["Key"] for tag in page["Tags"]] for page in pages] == [["a", "b"], ["c"]]
    assert [page["IsTruncated"] for page in pages] == [True, False]
    whole = await iam("ListUserTags", UserName="anna", MaxItems=3)
    assert ([tag["Value"] for tag in whole["Tags"]], whole["IsTruncated"]) == (list("ABC"), False)
    assert "Marker" not in whole


async def test_a_list_goes_on_behind_its_marker() -> None:
    """Also where that was deleted meanwhile, and at a text that sorts between two."""
    iam = await tagged_user("a", "b", "d")
    for text, keys in (("b", ["d"]), ("c", ["d"]), ("A", ["a", "b", "d"]), ("d", [])):
        found = await iam("ListUserTags", UserName="anna", Marker=marker(text))
        assert [tag["Key"] for tag in found["Tags"]] == keys


@pytest.mark.parametrize("text", ["x", "1x", "-1", " 1", "²", "1" * 10])
async def test_a_marker_that_is_no_number(text: str) -> None:
    """A list that is counted takes up to nine digits of ASCII."""
    simulating = IamCaller()("SimulateCustomPolicy", Marker=marker(text), **SIMULATED)
    assert await refused(simulating) == "ValidationError"


@pytest.mark.parametrize(("text", "left"), [("0", 3), ("2", 1), ("3", 0), ("9" * 9, 0)])
async def test_a_marker_that_is_a_number(text: str, left: int) -> None:
    """It says how many stand before the page."""
    answer = await IamCaller()("SimulateCustomPolicy", Marker=marker(text), **SIMULATED)
    assert len(answer["EvaluationResults"]) == left
    assert not answer["IsTruncated"]


async def test_a_simulation_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind each document that is read, each that is compiled, and before each pair."""
    rested = 0
    rest = Budget.rest

    async def counted(budget: Budget) -> None:
        nonlocal rested
        rested += 1
        await rest(budget)

    monkeypatch.setattr(Budget, "rest", counted)
    rooms: dict[str, Any] = {"ResourceArns": ["arn:aws:ivschat:us-east-1:123456789012:room/a", "*"]}
    answer = await IamCaller()("SimulateCustomPolicy", **SIMULATED, **rooms)
    assert (len(answer["EvaluationResults"]), rested) == (6, 2 + 6)


async def test_a_page_has_a_hundred_items() -> None:
    """Unless the request says otherwise."""
    names = [f"a:{number}" for number in range(101)]
    asked: dict[str, Any] = {"PolicyInputList": [policy("a:b")], "ActionNames": names}
    answer = await IamCaller()("SimulateCustomPolicy", **asked)
    assert (len(answer["EvaluationResults"]), answer["IsTruncated"]) == (100, True)


@pytest.mark.parametrize("keys", [("x", "x"), ("x", "X")])
async def test_tags_that_are_given_twice(keys: tuple[str, str]) -> None:
    """Whatever their case, a key is given once."""
    tags: Any = [{"Key": key, "Value": ""} for key in keys]
    creating = IamCaller()("CreateUser", UserName="anna", Tags=tags)
    assert await refused(creating) == "InvalidInput"


async def test_reserved_tags() -> None:
    """Keys that begin with aws:, in any case, are AWS's own."""
    for key, code in (("AWS:x", "ValidationError"), ("aws:", "ValidationError"), ("xaws:", "")):
        creating = IamCaller()("CreateUser", UserName="anna", Tags=[{"Key": key, "Value": ""}])
        if code:
            assert await refused(creating) == code
        else:
            await creating


@pytest.mark.parametrize("path", ["x", "/x", "x/", "/ü/"])
async def test_wrong_paths(path: str) -> None:
    """A path begins and ends with a slash."""
    assert await refused(IamCaller()("CreateUser", UserName="anna", Path=path)) == "ValidationError"


async def test_boundaries_of_roles_are_refused() -> None:
    """As those of users: ignoring one would grant too much."""
    boundary = "arn:aws:iam::123456789012:policy/p"
    creating = IamCaller()(
        "CreateRole",
        RoleName="r",
        AssumeRolePolicyDocument=trust(),
        PermissionsBoundary=boundary,
    )
    assert await refused(creating) == "InvalidInput"
