"""What settings of a cluster go together."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from greenroom.settings.load import load
from greenroom.settings.values import SettingsRefused

DATABASE, BUS = "postgresql://greenroom@db/greenroom", "nats://a,nats://b,nats://c"
SECRET = "not-for-the-log"


@pytest.mark.parametrize("storage", ["sqlite", "memory"])
def test_several_processes_need_what_they_share(storage: str) -> None:
    """What one process keeps is its own: one line says what is needed."""
    with pytest.raises(SettingsRefused, match=r"^processes = 2 needs storage postgresql://… and"):
        load({"storage": storage, "processes": "2"}, {}, None)
    with pytest.raises(SettingsRefused, match="processes must be a whole number from 1 to 64"):
        load({"storage": storage, "processes": "65"}, {}, None)
    assert load({"storage": storage, "processes": "1"}, {}, None).number("processes") == 1


def test_both_or_none() -> None:
    """What nodes share needs a database and a bus, and one node neither."""
    assert load({}, {}, None).database is None
    settings = load({"storage": DATABASE, "bus": BUS}, {}, None)
    assert settings.database == DATABASE
    assert settings.bus_servers is not None
    assert settings.bus_servers.each == ("nats://a", "nats://b", "nats://c")
    for flags in ({"storage": DATABASE}, {"bus": BUS}, {"bus": BUS, "storage": "memory"}):
        with pytest.raises(SettingsRefused, match="go together"):
            load(flags, {}, None)


@pytest.mark.parametrize(
    ("name", "url"),
    [("storage", f"postgresql://u:{SECRET}@db/r"), ("bus", f"nats://{SECRET}@a")],
)
def test_no_password_on_the_command_line(name: str, url: str) -> None:
    """Everybody on the machine can read it there; it is refused, and not said again."""
    with pytest.raises(SettingsRefused, match=f"^--{name} has a password or token") as refused:
        load({name: url}, {}, None)
    assert SECRET not in str(refused.value)


def test_secrets_come_by_environment_or_file(tmp_path: Path) -> None:
    """There they are taken, and shown to nobody."""
    urls = {"storage": f"postgresql://u:{SECRET}@db/r", "bus": f"nats://u:{SECRET}@a"}
    settings = load({}, {f"GREENROOM_{name.upper()}": url for name, url in urls.items()}, None)
    file = tmp_path / "greenroom.toml"
    file.write_text("".join(f'{name} = "{url}"\n' for name, url in urls.items()))
    for found in (settings, load({}, {}, file)):
        assert found.text("storage") == urls["storage"]
        assert SECRET not in repr([each.shown() for each in found.values.values()])
    shown = CliRunner().invoke(main, ["config", "--config", str(file)])
    assert shown.exit_code == ExitCode.OK
    assert "postgresql://u:***@db/r" in shown.stdout
    assert SECRET not in shown.output


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"bus_user": "u"}, "bus_user and bus_password_file go together"),
        ({"bus_password_file": "p"}, "bus_user and bus_password_file go together"),
        ({"bus_tls_key_file": "k"}, "bus_tls_certificate_file and bus_tls_key_file go together"),
        ({"bus_token_file": "t", "bus_nkey_file": "n"}, "bus_token_file and bus_nkey_file are two"),
        ({"bus_password_file": "p", "bus_token_file": "t"}, "bus_user and bus_token_file are two"),
        ({"bus_user": "u", "bus_password_file": "p", "bus_credentials_file": "c"},
            "bus_user and bus_credentials_file are two ways"),
    ],
)  # fmt: skip
def test_ways_to_be_let_in(given: dict[str, str], rule: str) -> None:
    """One way to be let in is given, and whole."""
    with pytest.raises(SettingsRefused, match=rule):
        load({"storage": DATABASE, "bus": BUS, **given}, {}, None)


def test_one_password_each() -> None:
    """What a URL has no file has beside it."""
    variables = {"GREENROOM_BUS": "nats://t@a", "GREENROOM_STORAGE": "postgresql://u:p@db/r"}
    with pytest.raises(SettingsRefused, match="storage has a password: give none in"):
        load({"storage_password_file": "p"}, variables, None)
    with pytest.raises(SettingsRefused, match="bus_token_file and bus, with what is in its URLs"):
        load({"bus_token_file": "t"}, variables, None)


@pytest.mark.parametrize(
    "name",
    ["storage_password_file", "bus_user", "bus_nkey_file", "bus_tls_ca_file", "bus_tls_key_file"],
)
def test_one_node_has_none(name: str) -> None:
    """A setting that nothing reads is refused: somebody meant a cluster."""
    with pytest.raises(SettingsRefused, match=f"^{name} is for a cluster"):
        load({name: "x"}, {}, None)


def test_one_node_has_no_replicas() -> None:
    """So it is with how often a message is kept."""
    with pytest.raises(SettingsRefused, match=r"^bus_replicas is for a cluster"):
        load({"bus_replicas": "3"}, {}, None)
    with pytest.raises(SettingsRefused, match=r"^bus_stream_bytes is for a cluster"):
        load({"bus_stream_bytes": "8388608"}, {}, None)
    with pytest.raises(SettingsRefused, match=r"^--bus-replicas must be one of auto, 1, 3, 5"):
        load({"bus_replicas": "2"}, {}, None)


def test_no_backup_of_a_database_of_others() -> None:
    """PostgreSQL has tools of its own for that."""
    variables = {"GREENROOM_STORAGE": DATABASE, "GREENROOM_BUS": BUS}
    for command in ("backup", "restore"):
        ended = CliRunner().invoke(main, [command, "somewhere"], env=variables)
        assert ended.exit_code == ExitCode.USAGE
        assert "pg_dump" in ended.stderr
