"""The operations on access keys."""

from greenroom.control.iam.call import IamCall
from greenroom.control.pipeline import Result
from greenroom.model.errors import FieldError
from greenroom.model.iam_errors import ValidationError
from greenroom.model.identity import (
    SECRET_ENTROPY_BYTES,
    AccessKey,
    IdPrefix,
    KeyStatus,
    secret_of,
)
from greenroom.model.identity_errors import NoSuchEntity
from greenroom.vault.sealing import key_context


async def create_access_key(call: IamCall) -> Result:
    """CreateAccessKey: the only answer that ever holds the secret."""
    user = await call.identities.get_user(call.account, call.user_name())
    key_id = call.new_id(IdPrefix.ACCESS_KEY)
    secret = secret_of(call.services.entropy(SECRET_ENTROPY_BYTES))
    key = AccessKey(
        access_key_id=key_id,
        account=call.account,
        user_name=user.name,
        sealed_secret=call.services.sealer.seal(key_context(key_id), secret.encode()),
        create_date=call.now_ms(),
    )
    await call.identities.create_access_key(key)
    return {"AccessKey": {**_described(key), "SecretAccessKey": secret}}


async def list_access_keys(call: IamCall) -> Result:
    """ListAccessKeys."""
    keys = await call.identities.list_access_keys(call.account, call.user_name())
    return call.cut("AccessKeyMetadata", {key.access_key_id: _described(key) for key in keys})


async def update_access_key(call: IamCall) -> Result:
    """UpdateAccessKey: a key that is made inactive is refused at once."""
    asked = call.text("Status")
    try:
        status = KeyStatus(asked)
    except ValueError:
        rule = "Member must satisfy enum value set: [Active, Inactive]"
        raise ValidationError.of_fields(FieldError("status", rule)) from None
    await call.identities.update_access_key(
        call.account, call.user_name(), call.text("AccessKeyId"), status
    )
    return {}


async def delete_access_key(call: IamCall) -> Result:
    """DeleteAccessKey."""
    await call.identities.delete_access_key(
        call.account, call.user_name(), call.text("AccessKeyId")
    )
    return {}


async def get_access_key_last_used(call: IamCall) -> Result:
    """GetAccessKeyLastUsed: `N/A` where the key was never used."""
    key = await own_key(call)
    used = key.last_used
    last: Result = {"ServiceName": "N/A", "Region": "N/A"}
    if used is not None:
        last = {"LastUsedDate": used.date, "ServiceName": used.service, "Region": used.region}
    return {"UserName": key.user_name, "AccessKeyLastUsed": last}


async def own_key(call: IamCall) -> AccessKey:
    """Return the key that the request names.

    Raises:
        NoSuchEntity: there is none in the account; of others' keys nothing is told.
    """
    key_id = call.text("AccessKeyId")
    key = await call.identities.find_access_key(key_id)
    if key.account != call.account:
        raise NoSuchEntity(f"The Access Key with id {key_id} cannot be found.")
    return key


def _described(key: AccessKey) -> Result:
    return {
        "UserName": key.user_name,
        "AccessKeyId": key.access_key_id,
        "Status": key.status.value,
        "CreateDate": key.create_date,
    }
