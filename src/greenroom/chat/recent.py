"""When who has sent what last, for slow mode and repetitions: bounded, in memory.

A message is noted when it gets its place. It may be asked about several times before that, so a
message never stands in its own way. On the node that it was sent on it is known at once, on others
that follow the room when it arrives there.

Users and texts are remembered by 64 bits of a hash whose key is the process's: no text is long in
memory, nobody finds one like another's, and a number is found in half the time of a pair.
"""

MAXIMUM = 100_000
"""What is remembered at once; the oldest goes, and its sender may write a little early."""


class Recent:
    """Times, on the monotonic clock, by what they are of.

    Those of late and those from before: when as many are of late as half of all may be, they are
    those from before, and what was is forgotten. So nothing has to be kept in order. Whoever looks
    into `late` and `before` himself spares a call of `wait`.
    """

    def __init__(self) -> None:
        self.late: dict[int, tuple[float, str]] = {}
        self.before: dict[int, tuple[float, str]] = {}
        self.latest = ""
        """The id of the message that was noted last."""
        self.noted = 0
        """How often something was noted."""
        self.evicted = 0

    def wait(self, key: int, seconds: int, message_id: str, now: float) -> float:
        """Return how many seconds it is until so many have gone by since the last; 0: they have."""
        last = self.late.get(key) or self.before.get(key)
        if last is None or last[1] == message_id:
            return 0.0
        left = last[0] + seconds - now
        return left if left > 0 else 0.0

    def note(self, key: int, message_id: str, at: float) -> None:
        """Note that a message was sent; one that arrives once more changes nothing."""
        late = self.late
        last = late.get(key)
        if last is None:
            if key in self.before:
                last = self.before.pop(key)
            if len(late) >= MAXIMUM // 2:
                self.evicted += len(self.before)
                self.before, self.late = late, {}
                late = self.late
            if last is not None and last[1] == message_id:
                late[key] = last
                return
        elif last[1] == message_id:
            return
        late[key] = at, message_id
        self.latest = message_id
        self.noted += 1
