"""The operations on managed policies and their versions."""

from greenroom.control.iam.call import IamCall, tags_shown
from greenroom.control.iam.documents import check_managed, document_shown
from greenroom.control.pipeline import Result
from greenroom.model.identity import IdPrefix, ManagedPolicy, PolicyVersion
from greenroom.model.identity_errors import NoSuchEntity
from greenroom.storage.identity_values import Page


async def create_policy(call: IamCall) -> Result:
    """CreatePolicy: the document becomes version `v1`."""
    document = call.text("PolicyDocument")
    check_managed(document)
    now = call.now_ms()
    policy = ManagedPolicy(
        account=call.account,
        name=call.text("PolicyName"),
        id=call.new_id(IdPrefix.POLICY),
        create_date=now,
        update_date=now,
        versions=(PolicyVersion(id="v1", document=document, create_date=now),),
        path=call.path(),
        description=call.optional_text("Description") or "",
        tags=call.tags(),
    )
    await call.identities.create_policy(policy)
    return {"Policy": {**_summary(policy), "Tags": tags_shown(policy.tags)}}


async def get_policy(call: IamCall) -> Result:
    """GetPolicy: all but the documents."""
    policy = await named_policy(call)
    tags = tags_shown(policy.tags)
    return {"Policy": {**_summary(policy), "Description": policy.description or None, "Tags": tags}}


async def list_policies(call: IamCall) -> Result:
    """ListPolicies: there are none of AWS's own, and no permissions boundaries."""
    call.after()
    if call.optional_text("Scope") == "AWS" or _asks_for_boundaries(call):
        return call.page("Policies", Page[ManagedPolicy]((), None), _summary)
    page = await call.identities.list_policies(
        call.account,
        call.limit(),
        call.after(),
        call.optional_text("PathPrefix") or "/",
        only_attached=call.flag("OnlyAttached"),
    )
    return call.page("Policies", page, _summary)


async def delete_policy(call: IamCall) -> Result:
    """DeletePolicy: it must be attached nowhere and have no version beside the default one."""
    await call.identities.delete_policy(call.account, call.text("PolicyArn"))
    return {}


async def create_policy_version(call: IamCall) -> Result:
    """CreatePolicyVersion: at most five; an older one must go first."""
    document = call.text("PolicyDocument")
    check_managed(document)
    default = call.flag("SetAsDefault")
    version = await call.identities.create_policy_version(
        call.account, call.text("PolicyArn"), document, call.now_ms(), set_default=default
    )
    return {"PolicyVersion": _version(version, is_default=default)}


async def get_policy_version(call: IamCall) -> Result:
    """GetPolicyVersion: with the document."""
    policy, asked = await named_policy(call), call.text("VersionId")
    for version in policy.versions:
        if version.id == asked:
            shown = _version(version, is_default=asked == policy.default_version)
            return {"PolicyVersion": {"Document": document_shown(version.document), **shown}}
    raise NoSuchEntity(f"Policy {policy.arn} version {asked} does not exist or is not attachable.")


async def list_policy_versions(call: IamCall) -> Result:
    """ListPolicyVersions: newest first, without documents."""
    policy = await named_policy(call)
    versions = {
        # Counted down, so that the newest one comes first.
        f"{10**9 - int(version.id[1:]):09}": _version(
            version, is_default=version.id == policy.default_version
        )
        for version in policy.versions
    }
    return call.cut("Versions", versions)


async def set_default_policy_version(call: IamCall) -> Result:
    """SetDefaultPolicyVersion: holds for everything that the policy is attached to."""
    await call.identities.set_default_policy_version(
        call.account, call.text("PolicyArn"), call.text("VersionId"), call.now_ms()
    )
    return {}


async def delete_policy_version(call: IamCall) -> Result:
    """DeletePolicyVersion: not of the default one."""
    await call.identities.delete_policy_version(
        call.account, call.text("PolicyArn"), call.text("VersionId")
    )
    return {}


async def named_policy(call: IamCall) -> ManagedPolicy:
    """Return the policy that the request names."""
    return await call.identities.get_policy(call.account, call.text("PolicyArn"))


def _asks_for_boundaries(call: IamCall) -> bool:
    return call.optional_text("PolicyUsageFilter") == "PermissionsBoundary"


def _summary(policy: ManagedPolicy) -> Result:
    return {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": policy.default_version,
        "AttachmentCount": policy.attachments,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": True,
        "CreateDate": policy.create_date,
        "UpdateDate": policy.update_date,
    }


def _version(version: PolicyVersion, *, is_default: bool) -> Result:
    return {
        "VersionId": version.id,
        "IsDefaultVersion": is_default,
        "CreateDate": version.create_date,
    }
