"""Lines about refused requests: bounded for each caller and for all, and none missing unsaid."""

from greenroom.audit.refusals import (
    ALL_BURST,
    ALL_PER_SECOND,
    CALLER_BURST,
    CALLER_PER_SECOND,
    MAXIMUM_CALLERS,
    NOBODY,
    UNPROVED_BURST,
    UNPROVED_PER_SECOND,
    Refusals,
)


def test_a_caller_has_a_burst_and_a_rate() -> None:
    """A flood of one key is as many lines as the burst, then one a second; all are counted."""
    refusals = Refusals()
    told = [refusals.admit("mallory", 0.0) for _ in range(5_000)]
    assert sum(each is not None for each in told) == CALLER_BURST
    assert refusals.left_out == 5_000 - CALLER_BURST
    assert refusals.admit("mallory", 1.0) == 5_000 - CALLER_BURST
    day = [refusals.admit("mallory", 1 + number / 10) for number in range(36_000)]
    assert sum(each is not None for each in day) <= 3_600 * CALLER_PER_SECOND + 1


def test_others_are_written_all_the_same() -> None:
    """One caller's flood leaves the lines of others, and of those without proof, alone."""
    refusals = Refusals()
    for _ in range(1_000):
        refusals.admit("mallory", 0.0)
    assert refusals.admit("ann", 0.0) == 0
    assert refusals.admit(NOBODY, 0.0) == 0
    for _ in range(1_000):
        refusals.admit(NOBODY, 0.0)
    assert refusals.admit("ann", 0.0) == 0
    assert refusals.take(NOBODY) == 1_001 - UNPROVED_BURST
    later = [refusals.admit(NOBODY, 1.0) for _ in range(1_000)]
    assert sum(each is not None for each in later) == UNPROVED_PER_SECOND


def test_all_callers_together_have_a_bound() -> None:
    """Many keys are no way around it."""
    refusals = Refusals()
    told = [refusals.admit(f"user-{number % 200}", 0.0) for number in range(5_000)]
    assert sum(each is not None for each in told) == ALL_BURST
    hour = [refusals.admit(f"user-{number % 200}", number / 10) for number in range(36_000)]
    assert sum(each is not None for each in hour) <= 3_600 * ALL_PER_SECOND + 1


def test_nothing_is_missing_unsaid() -> None:
    """What is written and what is left out is all there was, however many callers there are."""
    refusals = Refusals()
    written = said = 0
    for number in range(3 * MAXIMUM_CALLERS):
        for _ in range(3):
            admitted = refusals.admit(f"user-{number}", 0.0)
            if admitted is not None:
                written, said = written + 1, said + admitted
    assert len(refusals._untold) == MAXIMUM_CALLERS, "of those forgotten only the sum is kept"
    said += refusals.take_all()
    assert written + said == 9 * MAXIMUM_CALLERS
    assert said == refusals.left_out
    assert refusals.take_all() == 0
    assert len(refusals._callers) == MAXIMUM_CALLERS


def test_what_a_forgotten_caller_was_refused_is_told_to_another() -> None:
    """The next line says it, whosever it is, once."""
    refusals = Refusals()
    for _ in range(CALLER_BURST + 5):
        refusals.admit("mallory", 0.0)
    told = [refusals.admit(f"user-{number}", 1.0 + number) for number in range(MAXIMUM_CALLERS)]
    assert (told[-1], sum(each or 0 for each in told)) == (5, 5)
    assert refusals.take_all() == 0


def test_who_is_refused_for_all_keeps_his_own() -> None:
    """What the bound of all callers leaves out counts against nobody's own."""
    refusals = Refusals()
    for number in range(ALL_BURST):
        refusals.admit(f"user-{number}", 0.0)
    assert all(refusals.admit("ann", 0.0) is None for _ in range(CALLER_BURST))
    later = ALL_BURST / ALL_PER_SECOND
    told = [refusals.admit("ann", later) for _ in range(2 * CALLER_BURST)]
    assert sum(each is not None for each in told) == CALLER_BURST
