"""What is opened by which settings."""

import contextlib
from pathlib import Path
from unittest import mock

import pytest
from structlog.testing import capture_logs

from greenroom.entrance.dev_certificate import dev_certificate
from greenroom.process.start_refused import FileUnwritable
from greenroom.server import adapters
from greenroom.settings.load import load


@pytest.mark.parametrize(
    ("given", "used", "named"),
    [
        ("us-east-1", {"us-east-1"}, None),
        ("us-east-1", {"us-east-1", "eu-west-1", "ap-south-1"}, "ap-south-1, eu-west-1"),
        ("*", {"eu-west-1"}, None),
        ("us-east-1", set(), None),
        ("us-east-1", {f"xx-{n}" for n in range(9)}, ", ".join(f"xx-{n}" for n in range(8))),
    ],
)
async def test_rooms_that_no_request_reaches(given: str, used: set[str], named: str | None) -> None:
    """They are warned of with some of their regions, and how many these are."""
    rooms = mock.Mock()
    rooms.regions_in_use = mock.AsyncMock(return_value=used)
    with capture_logs() as logs:
        await adapters._warn_of_regions(load({"regions": given}, {}, None), rooms)
    count = len(used - {"us-east-1"})
    assert [(each["regions"], each["count"], each["log_level"]) for each in logs] == (
        [] if named is None else [(named, count, "warning")]
    )


@pytest.mark.parametrize("setting", ["auto", "off"])
@pytest.mark.parametrize("known", [True, False])
async def test_writing_to_many_sockets(
    setting: str, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one system call, where the settings and the system have it; it is closed at the end."""
    sender = mock.Mock() if known else None
    opening, stack = mock.Mock(return_value=sender), contextlib.AsyncExitStack()
    monkeypatch.setattr(adapters, "open_bulk_sender", opening)
    async with stack:
        found = adapters._open_sender(load({"io_uring": setting}, {}, None), stack)
        assert found is (sender if setting == "auto" else None)
        assert sender is None or not sender.close.called
    assert opening.call_count == (setting == "auto")
    if found is not None and sender is not None:
        assert sender.close.called


def test_a_certificate_for_development(tmp_path: Path) -> None:
    """It is made beside the data, with a warning; where it cannot be, that is said."""
    settings = load({"data_dir": str(tmp_path), "dev_tls": "on"}, {}, None)
    with capture_logs() as logs:
        made = adapters._dev_certificate(settings)
    assert made.file == dev_certificate(tmp_path.resolve(), "127.0.0.1")[0]
    assert [each["log_level"] for each in logs] == ["warning"]
    (tmp_path / "plain").write_text("")
    settings = load({"data_dir": str(tmp_path / "plain"), "dev_tls": "on"}, {}, None)
    with pytest.raises(FileUnwritable, match="the certificate cannot be kept"):
        adapters._dev_certificate(settings)
