"""What is particular to files."""

import asyncio
import errno
import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.chatlog.base import DestinationFailed, FailureKind
from greenroom.chatlog.files import FilesDestination, directory_name
from greenroom.chatlog.objects import objects
from greenroom.model.logging_configuration import DestinationKind
from tests.stand_ins.batches import CONTENT, a_batch, a_target

HOSTILE = ["..", "../..", "/etc", "...", ".hidden", "a/../../b", "/", "~", "a" * 512, "/" * 512]
names = st.one_of(
    st.sampled_from(HOSTILE),
    st.from_regex(r"[a-z0-9\-.]{3,63}", fullmatch=True),
    st.from_regex(r"[.\-_/#A-Za-z0-9]{1,512}", fullmatch=True),
    st.text(min_size=1, max_size=100),
)


def contents(directory: Path) -> dict[Path, bytes]:
    """Return the files below a directory."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@given(names)
def test_no_name_leaves_the_directory(name: str) -> None:
    """Any name is one visible directory, with characters that every file system takes."""
    made = directory_name(name)
    assert Path("/logs", made).resolve().parent == Path("/logs")
    assert not made.startswith(".")
    assert 0 < len(made) <= 200
    assert made.isascii()
    assert "/" not in made


@given(st.lists(names, unique=True, max_size=20))
def test_no_two_names_share_a_directory(some: list[str]) -> None:
    """Different names have different directories."""
    assert len({directory_name(name) for name in some}) == len(some)


def test_plain_names_stay() -> None:
    """A bucket's name is its directory's; a log group's has its slashes encoded."""
    assert directory_name("x" * 200) == "x" * 200
    assert len(directory_name("x" * 201)) == 200
    assert directory_name("my-bucket.logs_1") == "my-bucket.logs_1"
    assert directory_name("/aws/ivs-chat") == "%2Faws%2Fivs-chat"


async def test_the_keys_of_s3(tmp_path: Path) -> None:
    """Files lie under the keys of S3, below the bucket's name, for their owner only."""
    destination = FilesDestination(lambda: tmp_path / "a" / "logs", 300, 1_000_000)
    target, batch = a_target(DestinationKind.S3, "bucket"), a_batch()
    await destination.deliver(target, batch)
    await destination.close()
    bucket = tmp_path / "a" / "logs" / "bucket"
    found = [path for path in bucket.rglob("*") if path.is_file()]
    wanted = {each.key: each.body() for each in objects(target.configuration, batch)}
    assert {str(path.relative_to(bucket)): path.read_bytes() for path in found} == wanted
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    made = [path for path in (tmp_path / "a").rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in [tmp_path / "a", *made]} == {0o700}


async def test_what_a_killed_process_left(tmp_path: Path) -> None:
    """A part that a killed process left, or a link in its place, is replaced."""
    destination = FilesDestination(lambda: tmp_path, 300, 1_000_000)
    target, batch = a_target(DestinationKind.S3, "bucket"), a_batch(rooms=1)
    (made,) = objects(target.configuration, batch)
    path = tmp_path / "bucket" / made.key
    path.parent.mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"mine")
    path.with_name(f".{path.name}.part").symlink_to(elsewhere)
    await destination.deliver(target, batch)
    await destination.close()
    assert path.read_bytes() == made.body()
    assert elsewhere.read_bytes() == b"mine"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, FailureKind.OTHER),
        (errno.EDQUOT, FailureKind.OTHER),
        (errno.EACCES, FailureKind.ACCESS_DENIED),
        (errno.EROFS, FailureKind.ACCESS_DENIED),
        (errno.ENOENT, FailureKind.NOT_FOUND),
    ],
)
async def test_failures(
    number: int, kind: FailureKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be written leaves nothing; the error and its directory are told."""

    def fsync(_descriptor: int) -> None:
        raise OSError(number, "no", CONTENT)

    destination = FilesDestination(lambda: tmp_path, 300, 1_000_000)
    target = a_target(DestinationKind.S3, "bucket")
    await destination.check(target)
    batch = a_batch()
    await destination.deliver(target, batch)
    kept = contents(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        for call in (destination.check(target), destination.deliver(target, batch)):
            with pytest.raises(DestinationFailed) as failed:
                await call
            why = f"{errno.errorcode[number]} in {tmp_path / 'bucket'}"
            assert (failed.value.kind, failed.value.why) == (kind, why)
    await destination.close()
    assert contents(tmp_path) == kept


async def test_a_batch_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that were written are not written again with their batch."""
    destination = FilesDestination(lambda: tmp_path, 300, 1_000_000)
    target, batch = a_target(DestinationKind.S3, "bucket"), a_batch(rooms=5)
    really_replace, replaced = Path.replace, list[Path]()

    def replace(path: Path, place: Path) -> Path:
        if len(replaced) == 3:
            raise OSError(errno.ENOSPC, "no")
        replaced.append(place)
        return really_replace(path, place)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        with pytest.raises(DestinationFailed):
            await destination.deliver(target, batch)
    before = {path: path.stat().st_ino for path in contents(tmp_path)}
    await destination.deliver(target, batch)
    await destination.close()
    after = {path: path.stat().st_ino for path in contents(tmp_path)}
    assert (len(before), len(after)) == (3, 5)
    assert before.items() <= after.items()


async def test_the_end_waits_for_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A destination that is closed finishes the file that it writes, and not the whole batch."""
    destination = FilesDestination(lambda: tmp_path, 300, 1_000_000)
    writing, go_on = threading.Event(), threading.Event()
    really_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        writing.set()
        go_on.wait(10)
        really_fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        target = a_target(DestinationKind.S3, "bucket")
        delivery = asyncio.ensure_future(destination.deliver(target, a_batch(rooms=5)))
        await asyncio.to_thread(writing.wait)
        waiting = asyncio.ensure_future(destination.check(target))
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(destination.close())
        done, _ = await asyncio.wait([closing], timeout=0.05)
        assert not done
        with pytest.raises(asyncio.CancelledError):
            await waiting
        go_on.set()
        with pytest.raises(DestinationFailed, match="the service stops"):
            await delivery
        await closing
    assert len(contents(tmp_path)) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
async def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full fails the delivery; with space again the same batch is kept."""
    really_open = os.open

    def to_full(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if str(path).endswith(".part"):
            return really_open("/dev/full", os.O_WRONLY)
        return really_open(path, flags, mode)

    destination = FilesDestination(lambda: tmp_path, 300, 1_000_000)
    target, batch = a_target(DestinationKind.S3, "bucket"), a_batch()
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", to_full)
        with pytest.raises(DestinationFailed, match="ENOSPC") as failed:
            await destination.deliver(target, batch)
    assert failed.value.kind == FailureKind.OTHER
    assert contents(tmp_path) == {}
    await destination.deliver(target, batch)
    await destination.close()
    assert len(contents(tmp_path)) == 3


async def test_on_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole file reaches the disk, then it gets its name, then the directory does."""
    destination = FilesDestination(lambda: tmp_path, 300, 1_000_000)
    target, batch = a_target(DestinationKind.S3, "bucket"), a_batch(rooms=1)
    (made,) = objects(target.configuration, batch)
    path = tmp_path / "bucket" / made.key
    path.parent.mkdir(parents=True)
    seen: list[tuple[str, int, bool]] = []

    def fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        kind = "directory" if stat.S_ISDIR(status.st_mode) else "file"
        seen.append((kind, status.st_size if kind == "file" else 0, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    await destination.deliver(target, batch)
    await destination.close()
    assert seen == [("file", len(made.body()), False), ("directory", 0, True)]


async def test_two_writers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that write the same file at the same time leave it whole, and nothing else."""
    first, second = (
        FilesDestination(lambda: tmp_path, 300, 1_000_000, writer) for writer in ("one", "two")
    )
    target, batch = a_target(DestinationKind.S3, "bucket"), a_batch(rooms=1)
    (made,) = objects(target.configuration, batch)
    writing, going_on = threading.Event(), threading.Event()
    synchronized = os.fsync

    def stand_still(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and not writing.is_set():
            writing.set()
            assert going_on.wait(30)
        synchronized(descriptor)

    await second.check(target)
    monkeypatch.setattr(os, "fsync", stand_still)
    standing = asyncio.create_task(first.deliver(target, batch))
    await asyncio.to_thread(writing.wait, 30)
    await second.deliver(target, batch)
    assert list(contents(tmp_path).values()) == [made.body()]
    going_on.set()
    # The part of the first one was taken for a dead one's: its batch comes again.
    with pytest.raises(DestinationFailed):
        await standing
    await first.deliver(target, batch)
    assert list(contents(tmp_path).values()) == [made.body()]
    for each in (first, second):
        await each.close()


async def test_what_another_killed_process_left(tmp_path: Path) -> None:
    """Parts of writers that are gone go when the file is written."""
    target, batch = a_target(DestinationKind.S3, "bucket"), a_batch(rooms=1)
    (made,) = objects(target.configuration, batch)
    path = tmp_path / "bucket" / made.key
    path.parent.mkdir(parents=True)
    path.with_name(f".{path.name}.gone.part").write_bytes(b"half a f")
    destination = FilesDestination(lambda: tmp_path, 300, 1_000_000, "new")
    await destination.check(target)
    await destination.deliver(target, batch)
    await destination.close()
    assert contents(tmp_path) == {path: made.body()}


async def test_parts_that_somebody_else_has_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes may clear up at the same time: who comes second has nothing to do."""
    monkeypatch.setattr(Path, "glob", lambda path, pattern: [path / ".gone.part"])
    destination = FilesDestination(lambda: tmp_path, 300, 1_000_000, "new")
    target, batch = a_target(DestinationKind.S3, "bucket"), a_batch(rooms=1)
    await destination.check(target)
    assert not await destination.deliver(target, batch)
    await destination.close()
