import pytest

from greenroom.entrance.sockets import AddressRefused, bound


@pytest.mark.parametrize("host", ["a..b", "x" * 64, "192.0.2.1"])
def test_addresses_that_cannot_be_listened_on(host: str) -> None:
    """An address that is none, or another machine's, is refused with its name."""
    with pytest.raises(AddressRefused, match=host), bound(host, 0):
        pass


def test_a_taken_port() -> None:
    """A port is listened on once, and free again afterwards."""
    with bound("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with (
            pytest.raises(AddressRefused, match=f"port {port}.*--port 0"),
            bound("127.0.0.1", port),
        ):
            pass
    with bound("127.0.0.1", port) as again:
        assert again.getsockname()[1] == port
    assert first.fileno() == -1
