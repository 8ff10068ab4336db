"""The listening sockets of several processes behind one port: how many, who accepts from which.

Each process has one of its own with SO_REUSEPORT, so that the kernel spreads connections evenly.
All are held by all: what waits in the queue of a process that died is accepted by another one.
Where the sockets are somebody else's, systemd's or those of a service that is taken over, there may
be fewer than processes, which then share them, or more.
"""

import contextlib
import socket
from collections.abc import Collection, Hashable, Mapping, Sequence

from greenroom.entrance.sockets import AddressRefused, Listening, bound


def bound_for(host: str, port: int, processes: int) -> list[socket.socket]:
    """Return sockets that listen on the address, one for each process.

    Raises:
        AddressRefused: the address is taken or not this machine's.
    """
    if processes == 1:
        return [bound(host, port)]
    # Alone: with SO_REUSEPORT it would join another service of this user on the port, unnoticed.
    with bound(host, port) as probe:
        port = int(probe.getsockname()[1])
    return _more([], host, port, processes)


def enough(listening: Listening, processes: int) -> Listening:
    """Return sockets that were received, with more beside them if each process may have its own."""
    sockets = listening.sockets
    alike = {each.getsockname() for each in sockets}
    # Of one address all are shared, or there is one.
    if listening.by_systemd or len(alike) > 1 or not _is_shared(sockets[0]):
        return listening
    (address,) = alike
    with contextlib.suppress(AddressRefused):
        # Those of another user let nobody beside them.
        sockets = _more(sockets, address[0], address[1], processes)
    return Listening(sockets, listening.by_systemd)


def shares(
    addresses: Sequence[Hashable], processes: int, alive: Collection[int]
) -> Mapping[int, frozenset[int]]:
    """Return from which of the sockets, by index, each living process accepts.

    Processes have the numbers from 1 on. A socket whose processes are all dead is another one's.
    """
    found: dict[int, set[int]] = {each: set() for each in sorted(alive)}
    living = list(found)
    for address in dict.fromkeys(addresses):
        group = [index for index, each in enumerate(addresses) if each == address]
        for place, index in enumerate(group):
            owners = [each for each in living if _has(each - 1, place, len(group), processes)]
            for each in owners or living[place % len(living) :][:1] if living else ():
                found[each].add(index)
    return {each: frozenset(indices) for each, indices in found.items()}


def _has(process: int, place: int, sockets: int, processes: int) -> bool:
    """Return whether it is a process's own: one each; else several of one, or several have one."""
    return place % processes == process or process % sockets == place


def _is_shared(each: socket.socket) -> bool:
    return bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))


def _more(sockets: list[socket.socket], host: str, port: int, number: int) -> list[socket.socket]:
    found = list(sockets)
    try:
        while len(found) < number:
            found.append(bound(host, port, shared=True))
    except AddressRefused:
        for each in found[len(sockets) :]:
            each.close()
        raise
    return found
