"""The access key of a command: where it is looked for, and which of several is used."""

from pathlib import Path

import pytest

from greenroom.cli.access import ClientKey, CommandRefused, find_keys, known_key
from greenroom.cli.exit_codes import ExitCode
from greenroom.settings.load import load
from greenroom.settings.values import Settings

OURS = "[greenroom]\naws_access_key_id = OURS\naws_secret_access_key = s%s\n"
VARIABLES = {"AWS_ACCESS_KEY_ID": "ANN", "AWS_SECRET_ACCESS_KEY": "secret-of-ann"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings whose data directory has a credentials file."""
    (tmp_path / "credentials").write_text(OURS)
    return load({"data_dir": str(tmp_path)}, {}, None)


def ids(environment: dict[str, str], settings: Settings, **options: bool) -> list[str]:
    """Return the ids of the keys that are found."""
    return [key.access_key_id for key in find_keys(environment, settings, **options).keys]


def test_places_in_order(settings: Settings, tmp_path: Path) -> None:
    """The variables, the file that AWS's tools are told of, the data directory."""
    file = tmp_path / "keys"
    file.write_text(OURS.replace("OURS", "BOB"))
    aws = {**VARIABLES, "AWS_SHARED_CREDENTIALS_FILE": str(file)}
    assert ids(aws, settings) == ["ANN", "BOB", "OURS"]
    assert ids(aws, settings, only_settings=True) == ["OURS"]
    given = {"access_key_id": "G" * 16, "secret_access_key": "g" * 16}
    # A key of the settings is the service's: then there is no file of it.
    assert ids(VARIABLES, load(given, {}, None)) == ["ANN", "G" * 16]


def test_what_a_key_says_of_itself(settings: Settings, tmp_path: Path) -> None:
    """It names its id and its place, and not its secret."""
    keys = find_keys(VARIABLES, settings).keys
    assert [key.shown for key in keys] == [
        "ANN of the variable AWS_ACCESS_KEY_ID",
        f"OURS of {tmp_path}/credentials [greenroom]",
    ]
    assert [key.secret for key in keys] == ["secret-of-ann", "s%s"]
    given = {
        "GREENROOM_ACCESS_KEY_ID": "G" * 16,
        "GREENROOM_SECRET_ACCESS_KEY": "g" * 16,
    }
    (key,) = find_keys({}, load({}, given, None)).keys
    assert key.shown == f"{'G' * 16} of the variable GREENROOM_ACCESS_KEY_ID"


def test_half_a_key_of_aws_is_passed_over(settings: Settings) -> None:
    """One variable alone names no key: it is in the way of none, and said where there is none."""
    half = {"AWS_ACCESS_KEY_ID": "test"}
    assert ids(half, settings) == ["OURS"]
    with pytest.raises(CommandRefused, match="go together") as refused:
        find_keys(half, load({"data_dir": "nowhere"}, {}, None)).some()
    assert refused.value.code is ExitCode.USAGE


def test_profiles(settings: Settings, tmp_path: Path) -> None:
    """AWS_PROFILE names the section; one of AWS's own need not be in the data directory's file."""
    assert ids({"AWS_PROFILE": "work"}, settings) == ["OURS"]
    (tmp_path / "credentials").write_text(
        f"{OURS}[ann]\naws_access_key_id = ANN\naws_secret_access_key = a\n"
        "aws_session_token = token\n"
    )
    (key,) = find_keys({"AWS_PROFILE": "ann"}, settings).keys
    assert (key.access_key_id, key.session_token) == ("ANN", "token")
    file = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"), "AWS_PROFILE": "bob"}
    found = find_keys(file, load({"data_dir": "nowhere"}, {}, None))
    assert found.keys == []
    assert "no access key under [bob]" in found.missing[0]


@pytest.mark.parametrize("text", ["[other]\nkey = hidden", "hidden", "\xff"])
def test_files_without_a_key(text: str, tmp_path: Path) -> None:
    """The refusal names the file and what to do, and nothing of what it holds."""
    (tmp_path / "credentials").write_bytes(text.encode("latin-1"))
    with pytest.raises(CommandRefused, match="no access key under") as refused:
        find_keys({}, load({"data_dir": str(tmp_path)}, {}, None)).some()
    assert "hidden" not in str(refused.value)
    assert "--data-dir" in str(refused.value)


def test_memory_has_no_file() -> None:
    """A service that keeps nothing has a key that only its ready file tells."""
    found = find_keys({}, load({}, {"GREENROOM_STORAGE": "memory"}, None))
    assert found.missing == ["the storage is memory"]


def test_a_key_that_the_service_does_not_know_is_passed_over() -> None:
    """The first known one is used, with a note about those before; the last is not asked for."""
    keys = [ClientKey(name, "s", origin="there") for name in ("A", "B", "C")]
    asked: list[str] = []
    notes: list[str] = []

    def is_known(key: ClientKey) -> bool:
        asked.append(key.access_key_id)
        return key.access_key_id == "B"

    assert known_key(keys, is_known, notes.append).access_key_id == "B"
    assert asked == ["A", "B"]
    (note,) = notes
    assert "A of there" in note
    assert known_key(keys[2:], is_known, notes.append).access_key_id == "C"
    assert asked == ["A", "B"]


def test_temporary_credentials_are_not_passed_over() -> None:
    """Who acts as somebody on purpose is told, and does not act as somebody else."""
    keys = [ClientKey("A", "s", "token"), ClientKey("B", "s")]
    assert known_key(keys, lambda _: False, print) is keys[0]
