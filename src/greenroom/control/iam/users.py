"""The operations on users."""

from greenroom.control.iam.call import IamCall, tags_shown
from greenroom.control.pipeline import Result
from greenroom.model.identity import IdPrefix, User


async def create_user(call: IamCall) -> Result:
    """CreateUser."""
    call.refuse_boundary()
    user = User(
        account=call.account,
        name=call.text("UserName"),
        id=call.new_id(IdPrefix.USER),
        create_date=call.now_ms(),
        path=call.path(),
        tags=call.tags(),
    )
    await call.identities.create_user(user)
    return {"User": described_user(user)}


async def get_user(call: IamCall) -> Result:
    """GetUser: without a name it describes the caller."""
    if call.optional_text("UserName") is None and call.principal.is_root:
        return {"User": _root(call)}
    return {"User": described_user(await call.identities.get_user(call.account, call.user_name()))}


async def list_users(call: IamCall) -> Result:
    """ListUsers: without tags, as AWS lists them."""
    page = await call.identities.list_users(
        call.account, call.limit(), call.after(), call.optional_text("PathPrefix") or "/"
    )
    return call.page("Users", page, _summary)


async def list_groups_for_user(call: IamCall) -> Result:
    """ListGroupsForUser: there are no groups."""
    await call.identities.get_user(call.account, call.text("UserName"))
    return {"Groups": [], "IsTruncated": False}


async def delete_user(call: IamCall) -> Result:
    """DeleteUser: keys and policies must be gone."""
    await call.identities.delete_user(call.account, call.text("UserName"))
    return {}


def described_user(user: User) -> Result:
    """Return a user as GetUser answers it."""
    return {**_summary(user), "Tags": tags_shown(user.tags)}


def _summary(user: User) -> Result:
    return {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": user.arn,
        "CreateDate": user.create_date,
    }


def _root(call: IamCall) -> Result:
    """Describe the account's root, which has neither a name nor a path.

    When the account was made is not kept: the epoch stands for it.
    """
    return {
        "Path": "/",
        "UserName": "root",
        "UserId": call.principal.user_id,
        "Arn": call.principal.arn,
        "CreateDate": 0,
    }
