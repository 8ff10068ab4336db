"""The vault: where the master key comes from, old secrets in clear, and refusals."""

import base64
from pathlib import Path

import pytest

from greenroom.process.start_refused import FileUnwritable
from greenroom.settings.load import load
from greenroom.settings.values import Settings
from greenroom.storage.memory.opened import Opened
from greenroom.storage.memory.secrets import MemorySecrets
from greenroom.storage.memory.store import MemoryStore
from greenroom.storage.sqlite.store import SqliteStore
from greenroom.vault import vault as vault_module
from greenroom.vault.sealing import Sealer, is_sealed
from greenroom.vault.vault import CHECK, SecretsKeyRefused, Vault, is_at_hand, open_vault, sealer_of

KEY = base64.b64encode(b"k" * 32).decode()


def settings(tmp_path: Path, **flags: str) -> Settings:
    """Return settings with a data directory."""
    return load({"data_dir": str(tmp_path), **flags}, {}, None)


async def test_the_first_start_makes_a_key(tmp_path: Path) -> None:
    """The key is kept in a private file and used again; what is kept is sealed."""
    store = MemoryStore()
    vault = await open_vault(settings(tmp_path), store.secrets)
    file = tmp_path / "secrets.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(file.read_text())) == 32
    assert await vault.secret("s", b"in clear") == b"in clear"
    kept = await store.secrets.get("s")
    assert kept is not None
    assert is_sealed(kept)
    assert b"in clear" not in kept
    again = await open_vault(settings(tmp_path), store.secrets)
    assert await again.secret("s", b"other") == b"in clear"


async def test_secrets_in_clear_are_sealed(tmp_path: Path) -> None:
    """What an older version kept in clear is the same afterwards, but sealed."""
    store = MemoryStore()
    await store.secrets.keep("s", b"old")
    vault = await open_vault(settings(tmp_path), store.secrets)
    for _ in range(2):
        assert await vault.secret("s", b"new") == b"old"
        assert is_sealed(await store.secrets.keep("s", b""))


async def test_no_trace_of_clear_secrets_in_the_files(tmp_path: Path) -> None:
    """After a stop the files hold no bytes of a secret that was in clear, as SQLite may leave."""
    secret = b"a-root-secret-in-clear-1234567890"
    store = await SqliteStore.open(tmp_path)
    await store.secrets.keep("s", secret)
    await store.close()
    assert any(secret in file.read_bytes() for file in _files(tmp_path))
    store = await SqliteStore.open(tmp_path)
    # Some builds of SQLite overwrite by default, others leave what was.
    await store._worker.write(lambda connection: connection.execute("PRAGMA secure_delete = OFF"))
    vault = await open_vault(settings(tmp_path), store.secrets)
    assert await vault.secret("s", b"") == secret
    await store.close()
    assert not any(secret in file.read_bytes() for file in _files(tmp_path))


def _files(directory: Path) -> list[Path]:
    return [each for each in directory.iterdir() if each.is_file()]


async def test_of_two_first_starts_one_key_is_the_stores(tmp_path: Path) -> None:
    """Where nodes share a store and come first together, one that has another key is refused."""
    store = MemoryStore()
    await store.secrets.keep("sealing-check", Sealer(b"k" * 32).seal("sealing-check", b"greenroom"))

    class Late(MemorySecrets):
        """Sees the store as it was before the other node came."""

        async def get(self, name: str) -> bytes | None:
            return None

        async def keep(self, name: str, candidate: bytes) -> bytes:
            return await store.secrets.keep(name, candidate)

    other = base64.b64encode(b"x" * 32).decode()
    with pytest.raises(SecretsKeyRefused, match="sealed with another key than that of the setting"):
        await open_vault(settings(tmp_path, secrets_key=other), Late(Opened()))
    await open_vault(settings(tmp_path, secrets_key=KEY), Late(Opened()))


CLUSTER = {"storage": "postgresql://greenroom@db/greenroom", "bus": "nats://nats"}


async def test_a_cluster_is_given_its_key(tmp_path: Path) -> None:
    """A node that shares a store makes no key on its own disk: others would not see it."""
    with pytest.raises(SecretsKeyRefused, match="a cluster needs secrets_key or secrets_key_file"):
        await open_vault(settings(tmp_path, **CLUSTER), MemoryStore().secrets)
    assert _files(tmp_path) == []
    await open_vault(settings(tmp_path, **CLUSTER, secrets_key=KEY), MemoryStore().secrets)


@pytest.mark.parametrize("name", ["secrets_key", "secrets_key_file"])
async def test_a_given_key_is_written_nowhere(tmp_path: Path, name: str) -> None:
    """A key of the settings is used as it is, and only it opens what it sealed."""
    (tmp_path / "key").write_text(KEY + "\n")
    value = KEY if name == "secrets_key" else str(tmp_path / "key")
    store = MemoryStore()
    vault = await open_vault(settings(tmp_path, **{name: value}), store.secrets)
    assert await vault.secret("s", b"x") == b"x"
    assert not (tmp_path / "secrets.key").exists()
    assert await Vault(store.secrets, Sealer(b"k" * 32)).secret("s", b"") == b"x"


async def test_a_wrong_key_changes_nothing(tmp_path: Path) -> None:
    """Another key, a lost file and a malformed one are one line each; the store stays as it is."""
    store = MemoryStore()
    await (await open_vault(settings(tmp_path, secrets_key=KEY), store.secrets)).secret("s", b"x")
    await store.secrets.keep("old", b"in clear")
    before = dict(store.secrets._secrets)
    other = base64.b64encode(b"x" * 32).decode()
    with pytest.raises(SecretsKeyRefused, match="with another key than that of the setting"):
        await open_vault(settings(tmp_path, secrets_key=other), store.secrets)
    with pytest.raises(SecretsKeyRefused, match=r"secrets\.key is missing"):
        await open_vault(settings(tmp_path), store.secrets)
    assert not (tmp_path / "secrets.key").exists()
    for text in (
        "",
        "short",
        f"{KEY[:10]}!{KEY[10:]}",
        base64.b64encode(b"x" * 31).decode(),
        "ä" * 44,
    ):
        (tmp_path / "secrets.key").write_text(text)
        with pytest.raises(SecretsKeyRefused, match="32 bytes as base64"):
            await open_vault(settings(tmp_path), store.secrets)
    with pytest.raises(SecretsKeyRefused, match="cannot read"):
        await open_vault(settings(tmp_path, secrets_key_file=str(tmp_path / "none")), store.secrets)
    both = {"secrets_key": KEY, "secrets_key_file": str(tmp_path / "key")}
    with pytest.raises(SecretsKeyRefused, match="give one of them"):
        await open_vault(settings(tmp_path, **both), store.secrets)
    assert store.secrets._secrets == before


async def test_what_seals_without_a_store(tmp_path: Path) -> None:
    """Who only has the check is refused with another key, too; who has none yet makes one."""
    given = settings(tmp_path, secrets_key=KEY)
    kept = Sealer(b"k" * 32).seal(CHECK, b"greenroom")
    assert sealer_of(given, kept).open(CHECK, kept) == b"greenroom"
    with pytest.raises(SecretsKeyRefused, match="with another key than that of the setting"):
        sealer_of(given, Sealer(b"x" * 32).seal(CHECK, b"greenroom"))
    with pytest.raises(SecretsKeyRefused, match=r"secrets\.key is missing"):
        sealer_of(settings(tmp_path), kept)
    assert _files(tmp_path) == []
    made = sealer_of(settings(tmp_path), None)
    assert sealer_of(settings(tmp_path), made.seal(CHECK, b"x")).seal("a", b"b") == made.seal(
        "a", b"b"
    )


async def test_in_memory_nothing_is_written(tmp_path: Path) -> None:
    """A service that keeps nothing has a key of its own."""
    vault = await open_vault(settings(tmp_path, storage="memory"), MemoryStore().secrets)
    assert await vault.secret("s", b"x") == b"x"
    assert not (tmp_path / "secrets.key").exists()


async def test_a_damaged_secret_is_refused(tmp_path: Path) -> None:
    """A secret whose bytes have changed names itself, not its content."""
    store = MemoryStore()
    vault = await open_vault(settings(tmp_path), store.secrets)
    await vault.secret("s", b"x")
    kept = store.secrets._secrets["s"]
    store.secrets._secrets["s"] = kept[:-1] + bytes((kept[-1] ^ 1,))
    with pytest.raises(SecretsKeyRefused, match="the secret s in the store"):
        await vault.secret("s", b"x")


class Overtaken(MemorySecrets):
    """A store in which somebody else replaces a secret right behind each replacement."""

    async def replace(self, name: str, expected: bytes, replacement: bytes) -> bool:
        """Replace it, and then by another one."""
        done = await super().replace(name, expected, replacement)
        await super().replace(name, replacement, Sealer(b"k" * 32).seal(f"secret {name}", b"third"))
        return done


async def test_a_replacement_that_took_hold_is_told_so() -> None:
    """Whoever replaced a secret is told, whatever came later: or the change would be made twice."""
    vault = Vault(Overtaken(Opened()), Sealer(b"k" * 32))
    assert await vault.secret("s", b"first") == b"first"
    assert await vault.replace("s", b"first", b"second") == b"second"
    assert await vault.replace("s", b"first", b"fourth") == b"third"


def test_whether_a_key_is_at_hand(tmp_path: Path) -> None:
    """The settings name one, or the data directory has it."""
    assert not is_at_hand(settings(tmp_path))
    assert is_at_hand(settings(tmp_path, secrets_key=KEY))
    assert is_at_hand(settings(tmp_path, secrets_key_file=str(tmp_path / "none")))
    (tmp_path / "secrets.key").touch()
    assert is_at_hand(settings(tmp_path))


async def test_a_new_key_is_on_the_disk_before_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file, and the file's name; where it cannot be written, nothing is sealed with it."""
    done: list[str] = []
    monkeypatch.setattr(vault_module, "synchronize", lambda path: done.append(path.name))
    store = MemoryStore()

    def refuse(_path: Path, _text: str) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(vault_module, "write_private", refuse)
        with pytest.raises(FileUnwritable, match=r"secrets\.key cannot be written: Permission"):
            await open_vault(settings(tmp_path), store.secrets)
    assert (done, store.secrets._secrets) == ([], {})
    await open_vault(settings(tmp_path), store.secrets)
    assert done == [tmp_path.name]
    assert list(store.secrets._secrets) == [CHECK]
