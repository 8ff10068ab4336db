"""A profile of AWS's shared files, as AWS's own tools read it: endpoint, region and credentials.

Whatever a profile may say there holds: keys, a role to assume, a process that gives credentials.
"""

import msgspec

from greenroom.cli.access import ClientKey, CommandRefused
from greenroom.cli.exit_codes import ExitCode

_CREDENTIALS = {
    "aws_access_key_id",
    "role_arn",
    "credential_process",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
}
"""Members of which one must be there: a profile without any is no reason to ask the machine."""


class Profile(msgspec.Struct, frozen=True):
    """What the shared files say under a name; all of it may be missing."""

    name: str
    endpoint_url: str | None = None
    region: str | None = None
    key: ClientKey | None = None

    @property
    def origin(self) -> str:
        """Return where it was found, for people."""
        return f"the profile {self.name}"


def read_profile(name: str) -> Profile:
    """Return what AWS's files say of a profile; one that they do not have says nothing.

    Raises:
        CommandRefused: the files cannot be read, or the credentials that it names not be had.
    """
    # AWS's own reading of its files; a start without a profile does not pay for it.
    from botocore.exceptions import BotoCoreError, ClientError, ProfileNotFound
    from botocore.session import Session

    session = Session(profile=name)
    try:
        members = session.get_scoped_config()
        services = session.full_config.get("services", {}).get(members.get("services"), {})
        url = services.get("ivschat", {}).get("endpoint_url") or members.get("endpoint_url")
        key = None
        if not _CREDENTIALS.isdisjoint(members):
            credentials = session.get_credentials()
            found = None if credentials is None else credentials.get_frozen_credentials()
            if found is not None and found.access_key and found.secret_key:
                origin = f"the profile {name}"
                key = ClientKey(found.access_key, found.secret_key, found.token, origin)
        return Profile(name, url, members.get("region"), key)
    except ProfileNotFound:
        return Profile(name)
    except (BotoCoreError, ClientError) as error:
        why = " ".join(str(error).split())
        raise CommandRefused(f"the profile {name} cannot be used: {why}", ExitCode.USAGE) from None
