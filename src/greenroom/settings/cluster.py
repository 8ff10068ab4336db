"""What settings of a cluster go together, and which do not."""

from greenroom.settings.servers import ServerUrls
from greenroom.settings.values import Settings, SettingsRefused, Value

_WAYS_IN = (
    ("bus_user", "bus_password_file"),
    ("bus_token_file",),
    ("bus_nkey_file",),
    ("bus_credentials_file",),
)
"""The ways of being let in by NATS that have settings of their own; one may be given."""

_CERTIFICATE = ("bus_tls_certificate_file", "bus_tls_key_file")


def check_flag(value: Value) -> None:
    """See that the command line, which every user of the machine may read, has no password.

    Raises:
        SettingsRefused: it has one.
    """
    if isinstance(value.value, ServerUrls) and value.value.has_secret:
        name = value.setting.name
        raise SettingsRefused(
            f"--{name} has a password or token, which the list of processes shows to everybody:"
            f" give it in {value.setting.variable}, in the configuration file, or in"
            f" {'storage_password_file' if name == 'storage' else 'a file that bus_… names'}"
        )


def check(settings: Settings) -> None:
    """See that the settings of a cluster are whole, and that others have none.

    Raises:
        SettingsRefused: they are not; the message says the rule.
    """
    database, servers = settings.database, settings.bus_servers
    if (database is None) != (servers is None):
        raise SettingsRefused(
            "storage postgresql://… and bus nats://… go together: what nodes share needs both, and"
            " one node neither"
        )
    if database is None:
        processes = settings.number("processes")
        if processes > 1:
            raise SettingsRefused(
                f"processes = {processes} needs storage postgresql://… and bus nats://…, which they"
                " share: what sqlite or memory keeps is one process's alone"
            )
        _check_none(settings)
        return
    if settings.optional_path("storage_password_file") is not None and database.has_secret:
        raise SettingsRefused(
            "storage has a password: give none in storage_password_file beside it"
        )
    _check_ways_in(settings)
    _check_pair(settings, _CERTIFICATE)


def _check_none(settings: Settings) -> None:
    names = ["storage_password_file", "bus_tls_ca_file", *_CERTIFICATE]
    names += [name for way in _WAYS_IN for name in way]
    for name in [*names, "bus_replicas", "bus_stream_bytes"]:
        if settings.values[name].value != settings.values[name].setting.default:
            raise SettingsRefused(f"{name} is for a cluster: give storage and bus, or not this")


def _check_ways_in(settings: Settings) -> None:
    given = [way for way in _WAYS_IN if any(settings.values[name].value for name in way)]
    if settings.bus_servers is not None and settings.bus_servers.has_secret:
        given.append(("bus, with what is in its URLs",))
    if len(given) > 1:
        raise SettingsRefused(
            f"{' and '.join(way[0] for way in given)} are two ways to be let in by NATS: give one"
        )
    _check_pair(settings, _WAYS_IN[0])


def _check_pair(settings: Settings, names: tuple[str, ...]) -> None:
    if len({settings.values[name].value is None for name in names}) > 1:
        raise SettingsRefused(f"{' and '.join(names)} go together: give both or none")
