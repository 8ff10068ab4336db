"""What a backup says when it cannot be made."""

from pathlib import Path

import pytest

from greenroom.cli.backup import make as making
from greenroom.cli.backup.make import make
from greenroom.settings import load
from greenroom.storage.base import StoreUnwritable
from greenroom.storage.sqlite.store import SqliteStore
from greenroom.vault.vault import SecretsKeyRefused


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """Return a data directory with a store without anything."""
    await (await SqliteStore.open(tmp_path / "data")).close()
    return tmp_path / "data"


@pytest.mark.parametrize("content", [b"\xff\xfe", b"c2hvcnQ=", b""])
def test_a_key_file_with_something_else(data: Path, tmp_path: Path, content: bytes) -> None:
    """One line says so, also where it seals nothing yet; nothing unfinished is left."""
    (data / "secrets.key").write_bytes(content)
    settings = load.load({"data_dir": str(data)}, {}, None)
    with pytest.raises(SecretsKeyRefused, match=r"secrets\.key must hold 32 bytes as base64$"):
        make(settings, tmp_path / "backup", with_key=True)
    assert [each.name for each in tmp_path.iterdir()] == ["data"]
    make(settings, tmp_path / "backup", with_key=False)


def test_a_name_that_is_not_on_the_disk(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is the disk's own, although the backup has left its first place by then."""

    def synchronize(directory: Path) -> None:
        if directory == tmp_path:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(making, "synchronize", synchronize)
    settings = load.load({"data_dir": str(data)}, {}, None)
    with pytest.raises(StoreUnwritable, match=r"backup cannot be written \(Input/output error\)"):
        make(settings, tmp_path / "backup", with_key=True)
    assert {each.name for each in tmp_path.iterdir()} == {"data", "backup"}
