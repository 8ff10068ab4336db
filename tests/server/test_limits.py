from greenroom.server.limits import connection_limits, places
from greenroom.settings.load import load


def test_limits() -> None:
    """The settings reach the bounds of the connections, and on how many there are."""
    given = {"outbound_queue_bytes": "70000", "frame_bytes": "20000", "connections_per_room": "9"}
    settings = load(given, {}, None)
    limits = connection_limits(settings)
    assert (limits.outbound_bytes, limits.frame_bytes, limits.close_seconds) == (70_000, 20_000, 5)
    assert (places(settings).connections_per_room, places(settings).connections_per_account) == (
        9,
        50_000,
    )
