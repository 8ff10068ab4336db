"""The root access key: where it comes from, and the file that shows it to the AWS tools."""

import configparser
import os
from pathlib import Path

import pytest

from greenroom.identities import root_key
from greenroom.process.start_refused import FileUnwritable
from greenroom.settings.load import load
from greenroom.settings.values import Settings
from greenroom.storage.memory.store import MemoryStore
from greenroom.vault.sealing import Sealer
from greenroom.vault.vault import Vault


def settings(tmp_path: Path, **flags: str) -> Settings:
    """Return settings with a data directory."""
    return load({"data_dir": str(tmp_path), **flags}, {}, None)


def vault() -> Vault:
    """Return a vault of a new store."""
    return Vault(MemoryStore().secrets, Sealer(bytes(32)))


async def test_created_once(tmp_path: Path) -> None:
    """The first start makes a key of AWS's form, later ones find it; the file holds the same."""
    store, given = vault(), settings(tmp_path)
    key = await root_key.root_key(given, store)
    assert (key.access_key_id[:4], len(key.access_key_id)) == ("AKIA", 20)
    assert len(key.secret_access_key) == 40
    assert key.account == "123456789012"
    assert await root_key.root_key(given, store) == key
    file = configparser.ConfigParser()
    name = root_key.file_of(given)
    assert name is not None
    assert Path(name) == tmp_path / "credentials"
    file.read(name)
    assert dict(file[root_key.PROFILE]) == {
        "aws_access_key_id": key.access_key_id,
        "aws_secret_access_key": key.secret_access_key,
    }
    assert os.stat(name).st_mode & 0o777 == 0o600  # noqa: PTH116 - a path here counts as waiting
    other = await root_key.root_key(given, vault())
    assert other.secret_access_key != key.secret_access_key


async def test_given(tmp_path: Path) -> None:
    """A key of the settings is used as it is, and written nowhere."""
    flags = {"access_key_id": "A" * 16, "secret_access_key": "s" * 16, "account": "1" * 12}
    given = settings(tmp_path, **flags)
    key = await root_key.root_key(given, vault())
    assert (key.access_key_id, key.secret_access_key, key.account) == tuple(flags.values())
    assert root_key.file_of(given) is None
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - likewise
    assert "s" * 16 not in repr(key)


async def test_in_memory(tmp_path: Path) -> None:
    """A service that keeps nothing writes no file."""
    given = settings(tmp_path, storage="memory")
    await root_key.root_key(given, vault())
    assert root_key.file_of(given) is None
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - likewise


async def test_unwritable(tmp_path: Path) -> None:
    """A file that cannot be written is one clear line, without the secret."""
    (tmp_path / "credentials").mkdir()
    with pytest.raises(FileUnwritable, match="credentials cannot be written"):
        await root_key.root_key(settings(tmp_path), vault())
