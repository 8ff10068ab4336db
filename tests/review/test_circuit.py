"""When a handler is asked, and when not."""

from greenroom.review.circuit import Circuit


def opened(failures: int = 3, seconds: float = 5.0, now: float = 100.0) -> Circuit:
    """Return a circuit that has just opened."""
    circuit = Circuit(failures, seconds)
    for _ in range(failures):
        assert circuit.admits(now)
        circuit.failed(now)
    return circuit


def test_it_opens_after_failures_in_a_row() -> None:
    """One answer between failures starts the count again."""
    circuit = Circuit(3, 5.0)
    for _ in range(10):
        circuit.failed(0.0)
        circuit.failed(0.0)
        circuit.succeeded()
        assert circuit.admits(0.0)
    circuit.failed(0.0)
    circuit.failed(0.0)
    assert circuit.admits(0.0)
    circuit.failed(0.0)
    assert circuit.is_open
    assert not circuit.admits(4.9)


def test_one_probe_decides() -> None:
    """After its seconds one is admitted: failing keeps it open as long again, an answer closes."""
    circuit = opened(now=100.0)
    assert [circuit.admits(now) for now in (100.0, 104.9, 105.0, 105.0, 999.0)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    circuit.failed(106.0)
    assert not circuit.admits(110.9)
    assert circuit.admits(111.0)
    circuit.succeeded()
    assert not circuit.is_open
    assert circuit.admits(111.0)
    assert circuit.admits(111.0)
    for _ in range(2):
        circuit.failed(112.0)
    assert not circuit.is_open, "the count begins anew, and none of these is a probe"


def test_an_abandoned_probe_lets_the_next_one_try() -> None:
    """Whoever was admitted and went away does not leave the circuit open for ever."""
    circuit = opened(now=100.0)
    assert circuit.admits(105.0)
    circuit.abandoned()
    assert circuit.is_open
    assert circuit.admits(105.0)


def test_zero_failures_never_open_it() -> None:
    """A circuit can be switched off."""
    circuit = Circuit(0, 5.0)
    for _ in range(1000):
        circuit.failed(0.0)
    assert circuit.admits(0.0)
    assert not circuit.is_open
