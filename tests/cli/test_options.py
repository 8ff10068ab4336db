"""What the sub-commands share: settings from the environment, and the end in one line.

Covers: greenroom.process.start_refused
"""

from pathlib import Path

import pytest

from greenroom.bus.base import BusRefused, BusUnreachable
from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.options import fail, load_settings
from greenroom.entrance.sockets import AddressRefused
from greenroom.process.start_refused import (
    ClockRefused,
    FileUnreadable,
    FileUnwritable,
    StartRefused,
)
from greenroom.settings.values import SettingsRefused
from greenroom.storage.base import (
    StoreForeign,
    StoreInUse,
    StoreRefused,
    StoreUnreachable,
    StoreUnwritable,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsRefused, ExitCode.USAGE),
        (AddressRefused, ExitCode.ADDRESS_REFUSED),
        (StoreInUse, ExitCode.DATA_IN_USE),
        (StoreUnwritable, ExitCode.DATA_UNWRITABLE),
        (FileUnwritable, ExitCode.DATA_UNWRITABLE),
        (FileUnreadable, ExitCode.USAGE),
        (StoreForeign, ExitCode.DATA_FOREIGN),
        (StoreUnreachable, ExitCode.SERVER_UNREACHABLE),
        (BusUnreachable, ExitCode.SERVER_UNREACHABLE),
        (BusRefused, ExitCode.SERVER_UNFIT),
        (ClockRefused, ExitCode.SERVER_UNFIT),
        (StoreRefused, ExitCode.FAILED),
    ],
)
def test_codes(error: type[StartRefused], code: ExitCode) -> None:
    """Each refusal has its code, and its message becomes one line."""
    ending = fail(error("a path\nwith a  line break"))
    assert (ending.exit_code, ending.message) == (code, "a path with a line break")


def test_settings_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Variables are read, `GREENROOM_CONFIG` too, and the flag comes before it."""
    (tmp_path / "a.toml").write_text("port = 1")
    (tmp_path / "b.toml").write_text("port = 2")
    monkeypatch.setenv("GREENROOM_CONFIG", str(tmp_path / "a.toml"))
    monkeypatch.setenv("GREENROOM_HOST", "::1")
    assert load_settings({}, None).number("port") == 1
    assert load_settings({}, tmp_path / "b.toml").number("port") == 2
    assert load_settings({}, None).text("host") == "::1"
