"""`greenroom cheat`: examples by subject and by word; e2e runs each."""

from click.testing import CliRunner

from greenroom.cli.cheat import EXAMPLES
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main


def test_all_of_them() -> None:
    """Each stands below what it does, under its subject."""
    shown = CliRunner().invoke(main, ["cheat"]).stdout.splitlines()
    for subject, examples in EXAMPLES.items():
        assert subject in shown
        for each in examples:
            assert shown[shown.index(f"  {each.line}") - 1] == f"  # {each.what}"


def test_those_with_some_words() -> None:
    """Words pick examples, in any case; where none has them that is said."""
    shown = CliRunner().invoke(main, ["cheat", "Token", "talk"]).stdout
    assert shown == (
        "Tokens\n  # one that may talk\n  greenroom token lobby --as alice --can SEND_MESSAGE\n"
    )
    none = CliRunner().invoke(main, ["cheat", "frob"])
    assert none.exit_code == ExitCode.USAGE
    assert "no example has frob" in none.stderr
