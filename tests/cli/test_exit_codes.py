"""The exit codes: one table, for every refusal."""

from greenroom.cli.exit_codes import ExitCode


def test_each_code_has_a_meaning() -> None:
    """Codes differ and each is explained in one sentence."""
    assert len({int(code) for code in ExitCode}) == len(ExitCode)
    for code in ExitCode:
        assert code.meaning.endswith(".")
