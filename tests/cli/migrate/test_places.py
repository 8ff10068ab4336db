"""From where and to where: what is taken, and what is refused without showing a password."""

from pathlib import Path

import pytest

from greenroom.cli.migrate.places import directory_of, places
from greenroom.process.start_refused import FileUnreadable
from greenroom.settings import load
from greenroom.settings.values import Settings, SettingsRefused

URL = "postgresql://greenroom@db/greenroom"
CLUSTER = {"storage": URL, "bus": "nats://bus:4222"}


def settings(**given: str) -> Settings:
    """Return settings."""
    return load.load({}, {f"GREENROOM_{name.upper()}": each for name, each in given.items()}, None)


def test_both_are_named() -> None:
    """The directory is the one that is no URL, on whichever side."""
    there = places("data", URL, settings())
    assert (there.directory, there.url, there.password) == (Path("data"), URL, None)
    assert there.to_database
    back = places(URL, "data", settings())
    assert (back.directory, back.url, back.to_database) == (Path("data"), URL, False)


def test_the_database_of_the_nodes() -> None:
    """It may be left out where the settings name it; there it may have a password."""
    secret = {**CLUSTER, "storage": "postgresql://greenroom:hidden@db/greenroom"}
    assert places("data", None, settings(**secret)).url == secret["storage"]
    assert not places(None, "data", settings(**secret)).to_database


def test_the_password_of_the_nodes(tmp_path: Path) -> None:
    """The file that the nodes read it from is read here, too."""
    file = tmp_path / "password"
    file.write_text("hidden\n")
    found = places("data", None, settings(**CLUSTER, storage_password_file=str(file)))
    assert found.password is not None
    assert found.password() == "hidden"
    with pytest.raises(FileUnreadable, match=r"storage_password_file .* cannot be read"):
        places("data", URL, settings(**CLUSTER, storage_password_file=str(tmp_path / "none")))


@pytest.mark.parametrize(
    ("source", "target"),
    [(None, None), ("data", "data"), ("data", None), (URL, None), (None, URL), (URL, URL)],
)
def test_places_that_are_not_enough(source: str | None, target: str | None) -> None:
    """One of each kind must be there."""
    with pytest.raises(SettingsRefused, match="one is a data directory, the other postgresql://"):
        places(source, target, settings())


def test_urls_that_are_none() -> None:
    """The rule is told by the option's name, and no password is repeated."""
    with pytest.raises(SettingsRefused, match=r"^--to must name the database"):
        places("data", "postgresql://db", settings())
    with pytest.raises(SettingsRefused, match=r"^--from has a password") as refused:
        places("postgresql://greenroom:hidden@db/greenroom", "data", settings())
    assert "hidden" not in str(refused.value)


def test_which_is_the_directory() -> None:
    """It is known before any setting is read."""
    assert directory_of("postgres://db/g", "data") == (Path("data"), False)
