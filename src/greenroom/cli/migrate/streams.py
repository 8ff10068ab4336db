"""What streams of the bus have to do with a migration: they do not move.

They hold what rooms said in the last hour. Chat logs are read from them into the database; so what
is not there yet would be missing, and what an earlier deployment has left would come in once more.
"""

from collections.abc import Mapping

from greenroom.bus.base import BusRefused
from greenroom.bus.streams import StreamState


def check_read(states: Mapping[int, StreamState], read: Mapping[int, tuple[str, int]]) -> None:
    """See that the journal has all that streams hold.

    Raises:
        BusRefused: it lacks some.
    """
    unread = sum(
        state.first <= state.last and read.get(stream) != (state.created, state.last)
        for stream, state in states.items()
    )
    if unread:
        raise BusRefused(
            f"the bus holds messages in {unread} of its streams that were not read for chat logs"
            " yet: start a node, wait until greenroom_chat_log_lag_seconds is near 0, and stop it"
        )


def check_empty(states: Mapping[int, StreamState]) -> None:
    """See that streams hold nothing of an earlier deployment.

    Raises:
        BusRefused: they do.
    """
    full = sum(state.first <= state.last for state in states.values())
    if full:
        raise BusRefused(
            f"the bus holds messages in {full} of its streams, which would come into chat logs"
            " again: give the cluster an account of NATS without any, or purge them"
        )
