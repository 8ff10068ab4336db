from greenroom.server.limits import connection_limits
from greenroom.settings.load import load


def test_limits() -> None:
    """The settings reach the bounds of the connections."""
    given = {"outbound_queue_bytes": "70000", "frame_bytes": "20000"}
    limits = connection_limits(load({**given, "handshake_timeout_seconds": "7"}, {}, None))
    assert (limits.outbound_bytes, limits.frame_bytes) == (70_000, 20_000)
    assert (limits.handshake_seconds, limits.close_seconds) == (7, 5)
