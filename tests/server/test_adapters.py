"""What is opened by which settings."""

import contextlib
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from structlog.testing import capture_logs

from greenroom.entrance.dev_certificate import dev_certificate
from greenroom.process.start_refused import FileUnwritable
from greenroom.server import adapters
from greenroom.server.parts import Parts
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


@pytest.mark.parametrize("dev_tls", ["on", "off"])
@pytest.mark.parametrize("linked", [True, False])
async def test_what_is_opened(monkeypatch: pytest.MonkeyPatch, dev_tls: str, linked: bool) -> None:
    """From the bottom up, and closed in the opposite order; one of several holds no directory."""
    all_, done, stack = mock.Mock(), list[str](), contextlib.AsyncExitStack()

    def closing(name: str) -> mock.Mock:
        return mock.Mock(close=mock.AsyncMock(side_effect=lambda: done.append(name)))

    access, reviewer, destinations = closing("access"), closing("reviewer"), closing("destinations")
    identity = closing("identity")
    identity.root.access_key_id = "AKIA"
    doubles = {
        "AwsAccess": mock.Mock(return_value=access),
        "open_reviewer": mock.AsyncMock(return_value=reviewer),
        "certificate_of": mock.Mock(return_value="of the settings"),
        "open_kept": mock.AsyncMock(return_value=all_.kept),
        "_warn_of_regions": mock.AsyncMock(),
        "_dev_certificate": mock.Mock(return_value="for trying out"),
        "open_destinations": mock.Mock(return_value=destinations),
        "_open_sender": mock.Mock(),
    }
    for name, double in doubles.items():
        monkeypatch.setattr(adapters, name, double)
    opening = mock.AsyncMock(return_value=identity)
    monkeypatch.setattr(adapters.IdentityService, "open", opening)  # type: ignore[attr-defined]
    settings = load({"dev_tls": dev_tls}, {}, None)
    parts: Any = Parts(link=mock.Mock() if linked else None)
    async with stack:
        opened: Any = await adapters.open_adapters(
            settings, all_.found, all_.lines, all_.before, stack, parts
        )
        assert done == []
    assert done == ["destinations", "identity", "reviewer", "access"]
    kept = all_.kept
    assert opened.certificate == ("for trying out" if dev_tls == "on" else "of the settings")
    assert (opened.store, opened.bus, opened.let_go) == (kept.store, kept.bus, kept.let_go)
    assert (opened.identity, opened.reviewer) == (identity, reviewer)
    assert doubles["open_kept"].await_args.kwargs == {"alone": not linked}
    doubles["_warn_of_regions"].assert_awaited_once_with(settings, kept.store.rooms)
    access.disown.assert_called_once_with("AKIA")
