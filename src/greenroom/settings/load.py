"""Where the values of settings come from, and what is refused.

A value is taken from the first of: the command line, a `GREENROOM_*` variable, the TOML file, the
default. A name that is not in the table is refused wherever it appears, so that a typing error
never passes for a setting.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from greenroom.network.forwarded import ForwardedHeader
from greenroom.settings import cluster
from greenroom.settings.alike import alike
from greenroom.settings.table import BY_SETTING, PREFIX, SETTINGS
from greenroom.settings.values import Settings, SettingsRefused, Value

_RESERVED = frozenset({PREFIX + "CONFIG"})


def load(
    flags: Mapping[str, object], environment: Mapping[str, str], file: Path | None
) -> Settings:
    """Collect the settings; `flags` holds the options that were given.

    Raises:
        SettingsRefused: a name is unknown, a value breaks its rule, the file cannot be read.
    """
    values = {each.name: Value(each, each.default, "default") for each in SETTINGS}
    for name, raw in _read(file).items():
        values[name] = _parsed(name, raw, f"file {file}")
    for variable, raw in environment.items():
        if variable.startswith(PREFIX) and variable not in _RESERVED:
            name = variable.removeprefix(PREFIX).lower()
            values[name] = _parsed(name, raw, f"variable {variable}", variable)
    for name, raw in flags.items():
        values[name] = _parsed(name, raw, "command line", "--" + name.replace("_", "-"))
        cluster.check_flag(values[name])
    settings = Settings(values)
    if (settings.optional_text("access_key_id") is None) != (
        settings.optional_text("secret_access_key") is None
    ):
        raise SettingsRefused("access_key_id and secret_access_key go together: give both or none")
    _check_tls(settings)
    _check_proxies(settings)
    cluster.check(settings)
    return settings


def _check_proxies(settings: Settings) -> None:
    for name in ("proxy_protocol", "forwarded_proto"):
        if settings.text(name) == "on" and not settings.texts("trusted_proxies"):
            raise SettingsRefused(f"{name} needs trusted_proxies: nobody else is believed")
    if (
        settings.text("forwarded_proto") == "on"
        and settings.text("forwarded_header") != ForwardedHeader.X_FORWARDED_FOR.value
    ):
        raise SettingsRefused(
            "forwarded_proto goes with x-forwarded-for: the header forwarded has a proto of its own"
        )


def _check_tls(settings: Settings) -> None:
    files = [settings.optional_path(name) for name in ("tls_certificate_file", "tls_key_file")]
    if (files[0] is None) != (files[1] is None):
        raise SettingsRefused(
            "tls_certificate_file and tls_key_file go together: give both or none"
        )
    if files[0] is not None and settings.text("dev_tls") == "on":
        raise SettingsRefused("dev_tls makes a certificate: give none beside it")


def config_file(flag: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the configuration file: the flag's, else that of `GREENROOM_CONFIG`, else none."""
    if flag is not None:
        return flag
    variable = environment.get(PREFIX + "CONFIG")
    return Path(variable) if variable else None


def _read(file: Path | None) -> dict[str, object]:
    if file is None:
        return {}
    # Its patterns take a while to compile.
    import tomllib

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsRefused(f"cannot read {file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"{file} is not TOML: {error}") from None


def _parsed(name: str, raw: object, origin: str, spelled: str | None = None) -> Value:
    setting, place = BY_SETTING.get(name), "" if spelled else f" ({origin})"
    if setting is None:
        raise SettingsRefused(f"unknown setting {spelled or name}{place}{_meant(name, spelled)}")
    try:
        return Value(setting, setting.parse(str(raw) if isinstance(raw, Path) else raw), origin)
    except ValueError as error:
        raise SettingsRefused(f"{spelled or name} {error}{place}") from None


def _meant(name: str, spelled: str | None) -> str:
    """Return the end of the refusal of a name: the setting that it looks like, spelled alike."""
    found = alike(name, BY_SETTING)
    if found is None:
        return "; see greenroom config"
    is_variable = spelled is not None and spelled.startswith(PREFIX)
    return f": did you mean {BY_SETTING[found].variable if is_variable else found}?"
