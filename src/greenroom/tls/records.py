"""How many records bytes hold, told from the lengths that stand before each in clear."""

_HEAD_BYTES, _LENGTH_AT = 5, 3


class Records:
    """The records of one direction, from its first byte on."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        # Of a record that has begun: what came of its head, or what is to come behind that.
        self._head = b""
        self._left = 0

    def take(self, data: bytes, most: int) -> tuple[int, bool]:
        """Return where the next `most` records end in what came, and whether there are as many.

        What is behind that is to be given again, before anything else. A record counts where it
        begins; one that is not there whole ends with the data.
        """
        seen, at, number = len(self._head), self._left, 0
        if seen:
            data = self._head + data
        size = len(data)
        while number < most and at + _HEAD_BYTES <= size:
            at += _HEAD_BYTES + int.from_bytes(data[at + _LENGTH_AT : at + _HEAD_BYTES], "big")
            number += 1
        end = min(at, size) if number == most else size
        self._head = data[at:end]
        self._left = max(0, at - end)
        return end - seen, number == most
