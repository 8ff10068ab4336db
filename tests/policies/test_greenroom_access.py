"""What Greenroom's own operations must be allowed."""

import pytest

from greenroom.policies.greenroom_access import GREENROOM_ACCESS, greenroom_check, is_about_a_room


@pytest.mark.parametrize("operation", sorted(GREENROOM_ACCESS))
def test_checks_are_whole(operation: str) -> None:
    """Each has an ARN of the account without a region, or of a room where it is about one.

    None makes what it asks about: that can have tags already.
    """
    room = "arn:aws:ivschat:us-east-1:123456789012:room/x"
    check = greenroom_check(operation, "123456789012", key_id="k", identity="role/x/mod", room=room)
    assert (check.action, check.exists) == (f"greenroom:{operation}", True)
    if is_about_a_room(operation):
        assert check.resource == room
    else:
        assert check.resource.startswith(("arn:aws:greenroom::123456789012:", "arn:aws:iam::1234"))
    assert "{" not in check.resource


def test_what_a_request_says_is_no_pattern_of_the_table() -> None:
    """The id of a key is taken as it is, braces and all."""
    check = greenroom_check("KillTokenKey", "123456789012", key_id="{account}{0}*")
    assert check.resource == "arn:aws:greenroom::123456789012:token-key/{account}{0}*"
