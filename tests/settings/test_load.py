"""Every setting once: where values come from, what they may be, what is refused.

Covers: greenroom.settings.kinds, greenroom.settings.table, greenroom.settings.values
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from greenroom.model.quotas import QUOTAS, RateProfile
from greenroom.settings.load import config_file, load
from greenroom.settings.table import SETTINGS
from greenroom.settings.values import Settings, SettingsRefused

KEY = {"GREENROOM_ACCESS_KEY_ID": "A" * 16, "GREENROOM_SECRET_ACCESS_KEY": "s" * 16}


def of(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    """Return the settings of those sources."""
    return load(flags or {}, environment or {}, file)


def toml(tmp_path: Path, text: str) -> Path:
    """Return a configuration file."""
    path = tmp_path / "greenroom.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_pass_their_own_rules() -> None:
    """Without any source every setting has its default, which its rule accepts."""
    settings = of()
    assert list(settings.values) == [setting.name for setting in SETTINGS]
    for value in settings.values.values():
        assert value.origin == "default"
        if value.value is not None:
            raw = str(value.value) if isinstance(value.value, Path) else value.value
            assert value.setting.parse(raw) == value.value
    assert len({setting.variable for setting in SETTINGS}) == len(SETTINGS)


def test_precedence(tmp_path: Path) -> None:
    """The command line comes before the variable, the variable before the file."""
    file = toml(tmp_path, 'port = 1\nhost = "a"\nregion = "r"\n')
    settings = of({"port": "3"}, {"GREENROOM_PORT": "2", "GREENROOM_HOST": "b"}, file)
    assert [settings.number("port"), settings.text("host"), settings.text("region")] == [
        3,
        "b",
        "r",
    ]
    origins = [settings.values[name].origin for name in ("port", "host", "region", "account")]
    assert origins == ["command line", "variable GREENROOM_HOST", f"file {file}", "default"]


def test_unknown_names(tmp_path: Path) -> None:
    """A typing error is refused in every source, by the name that was written."""
    with pytest.raises(SettingsRefused, match="unknown setting --prot"):
        of({"prot": "1"})
    with pytest.raises(
        SettingsRefused, match=r"^unknown setting GREENROOM_PROT: did you mean GREENROOM_PORT\?$"
    ):
        of(environment={"GREENROOM_PROT": "1"})
    with pytest.raises(SettingsRefused, match=r"unknown setting prot \(file .*: did you mean port"):
        of(file=toml(tmp_path, "prot = 1"))
    with pytest.raises(SettingsRefused, match=r"unknown setting server \(.*; see greenroom config"):
        of(file=toml(tmp_path, "[server]\nport = 1"))
    of(environment={"GREENROOM_CONFIG": "x", "OTHER": "y", "XGREENROOM_PORT": "z"})


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: str(setting.name))
def test_values_of_another_kind(setting: object, tmp_path: Path) -> None:
    """No setting takes a date, an array or a floating-point number."""
    name = getattr(setting, "name", "")
    for value in ("1979-05-27", "[1]", "1.5", "true"):
        with pytest.raises(SettingsRefused, match=f"^{name} .*file "):
            of(file=toml(tmp_path, f"{name} = {value}"))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("port", 0, 65_535),
        ("ping_interval_seconds", 1, 3600),
        ("outbound_queue_bytes", 65_536, 1_073_741_824),
        ("frame_bytes", 16_384, 16_777_216),
        ("head_bytes", 8_192, 1_048_576),
        ("memory_bytes", 67_108_864, 1 << 50),
        ("handshake_timeout_seconds", 1, 300),
        ("close_timeout_seconds", 1, 300),
        ("drain_timeout_seconds", 1, 3600),
        ("chat_log_object_seconds", 1, 3600),
        ("chat_log_object_bytes", 65_536, 67_108_864),
        ("chat_log_batch_seconds", 1, 300),
        ("review_concurrency", 1, 10_000),
        ("review_circuit_failures", 0, 1_000_000),
        ("review_circuit_seconds", 1, 3600),
    ],
)
def test_numbers(name: str, low: int, high: int) -> None:
    """Whole numbers are taken as text and as numbers, with their bounds."""
    for number in (low, high):
        assert of({name: number}).number(name) == of({name: str(number)}).number(name) == number
    for wrong in (low - 1, high + 1, str(low - 1), str(high + 1), "", "x", "1.5", "9" * 5000):
        with pytest.raises(SettingsRefused, match=f"from {low} to {high}"):
            of({name: wrong})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("host", ["::1", "a b"], ["", "a\nb", "a\x00", 1]),
        ("data_dir", ["data", "/x/y z"], ["", "a\nb", "~nobody-of-this-name/x"]),
        ("ready_file", ["r.json"], [""]),
        ("storage", ["sqlite", "memory"], ["", "postgres", "SQLITE", "sqlite\n"]),
        ("region", ["us-east-1", "x" * 32], ["", "x" * 33, "US-EAST-1", "us_east_1", "a\n"]),
        ("account", ["0" * 12], ["1" * 11, "1" * 13, "a" * 12, 123456789012, "1" * 12 + "\n"]),
        ("request_rates", ["aws", "relaxed", "off"], ["", "on"]),
        ("room_message_rates", ["enforced", "off"], ["on", True]),
        ("lambda_endpoint", ["http://127.0.0.1:9", "https://x/y"], ["", "x", "ftp://x", "http://"]),
        ("review_http_secret", ["s" * 16, "ä" * 256], ["s" * 15, "s" * 257, "s" * 15 + " "]),
        ("log_level", ["debug", "info", "warning", "error"], ["INFO", "trace"]),
        ("log_format", ["auto", "console", "json"], ["text"]),
        (
            "s3_endpoint",
            ["http://localhost:9000", "https://[::1]:1/path"],
            ["", "localhost:9000", "ftp://x", "http://", "http://a@b", "http://x?y", "http://x\n"],
        ),
        ("cloudwatch_metrics", ["on", "off"], ["yes", ""]),
        ("cloudwatch_namespace", ["Greenroom/IVSChat", "AWS/IVSChat", "x" * 255], ["", ":x", "é"]),
    ],
)
def test_texts(name: str, good: list[object], bad: list[object]) -> None:
    """Each text has its rule; a refusal is one line that names the setting and the source."""
    for value in good:
        assert str(of({name: value}).values[name].value) == value
    flag = "--" + name.replace("_", "-")
    for value in bad:
        with pytest.raises(SettingsRefused) as refused:
            of({name: value})
        message = str(refused.value)
        assert message.startswith(f"{flag} ")
        assert "\n" not in message


def test_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may begin with the user's home directory."""
    monkeypatch.setenv("HOME", "/home/ann")
    assert of({"data_dir": "~/data"}).path("data_dir") == Path("/home/ann/data")
    assert of({"data_dir": Path("x")}).path("data_dir") == Path("x")


@pytest.mark.parametrize(
    "text",
    [
        "[quotas]\nrooms = 5\n[quotas.requests_per_second]\nCreateRoom = 0\n",
        '[quotas]\nrooms = 5\n"requests_per_second.CreateRoom" = 0\n',
        'quotas = "rooms=5, requests_per_second.CreateRoom=0,"\n',
    ],
    ids=["nested", "dotted", "text"],
)
def test_quotas(text: str, tmp_path: Path) -> None:
    """Quotas are written as a table, in both spellings, or as pairs; the others keep theirs."""
    quotas = of(file=toml(tmp_path, text)).quotas()
    assert (quotas["rooms"], quotas["requests_per_second.CreateRoom"]) == (5, 0)
    assert quotas["connections"] == 50_000
    assert quotas["requests_per_second.GetRoom"] == 1000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quotas.room = 5", r"has no quota 'room': did you mean rooms\?"),
        ("quotas.requests_per_second.CreateRom = 5", "no quota 'requests_per_second.CreateRom'"),
        ("quotas.rooms = -1", "quotas rooms must be a whole number"),
        ("quotas.rooms = 1_000_000_001", "from 0 to 1000000000"),
        ("quotas.rooms = true", "rooms must be a whole number"),
        ("quotas = 5", "must be a table"),
        ("quotas = 'rooms'", "rooms must be a whole number"),
        ("quotas = '=5'", "has no quota ''"),
    ],
)
def test_wrong_quotas(text: str, message: str, tmp_path: Path) -> None:
    """A quota that does not exist, or is no count, is refused by its name."""
    with pytest.raises(SettingsRefused, match=message):
        of(file=toml(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        '[chat_log_destinations]\n"s3:a-*" = "aws"\n"*:/x/*" = "auto"\n"*" = "files"\n',
        'chat_log_destinations = "s3:a-*=aws, *:/x/*=auto,*=files"\n',
    ],
    ids=["table", "text"],
)
def test_chat_log_destinations(text: str, tmp_path: Path) -> None:
    """Patterns are written as a table or as pairs, and keep their order."""
    settings = of(file=toml(tmp_path, text))
    assert list(settings.table("chat_log_destinations").items()) == [
        ("s3:a-*", "aws"),
        ("*:/x/*", "auto"),
        ("*", "files"),
    ]
    assert settings.values["chat_log_destinations"].shown() == "s3:a-*=aws, *:/x/*=auto, *=files"


@pytest.mark.parametrize(
    "text",
    ["bucket=aws", "S3:bucket=aws", "s3:=aws", ":x=aws", "s3:bucket=s3", "s3:bucket", "=aws"],
)
def test_wrong_chat_log_destinations(text: str) -> None:
    """A pattern that can match nothing, or a word that is none, is refused."""
    with pytest.raises(SettingsRefused, match=r"^GREENROOM_CHAT_LOG_DESTINATIONS "):
        of(environment={"GREENROOM_CHAT_LOG_DESTINATIONS": text})


def test_every_quota_can_be_set() -> None:
    """Each quota of the table can be overridden, by a variable too."""
    pairs = ",".join(f"{quota.name}={index}" for index, quota in enumerate(QUOTAS))
    settings = of(environment={"GREENROOM_QUOTAS": pairs})
    quotas = settings.quotas()
    assert [quotas[quota.name] for quota in QUOTAS] == list(range(len(QUOTAS)))
    assert settings.values["quotas"].shown().startswith("rooms=0, ")


@pytest.mark.parametrize(
    "text",
    [
        '[review_handlers]\n"*:a" = "none"\n"*" = "lambda"',
        'review_handlers = "*:a=none, *=lambda,"',
    ],
)
def test_tables(text: str, tmp_path: Path) -> None:
    """A table of texts keeps its order, in the file and as pairs."""
    settings = of(file=toml(tmp_path, text))
    assert list(settings.table("review_handlers").items()) == [("*:a", "none"), ("*", "lambda")]
    assert settings.values["review_handlers"].shown() == "*:a=none, *=lambda"


@pytest.mark.parametrize(
    "text",
    [
        "[review_handlers]\na.b = 'none'",
        "review_handlers = 'none'",
        "review_handlers = 'a='",
        "review_handlers = '=none'",
        "review_handlers.a = 1",
        "review_handlers.a = ''",
        "review_handlers.'' = 'none'",
    ],
)
def test_wrong_tables(text: str, tmp_path: Path) -> None:
    """A pattern without a text of its own is refused."""
    with pytest.raises(SettingsRefused, match="review_handlers must have a text for each pattern"):
        of(file=toml(tmp_path, text))


def test_networks(tmp_path: Path) -> None:
    """Networks are an array in the file, or separated by commas."""
    name = "review_http_allowed_networks"
    expected = "127.0.0.0/8, ::1/128"
    for settings in (
        of(file=toml(tmp_path, f'{name} = ["127.0.0.0/8", "::1"]')),
        of({name: "127.0.0.0/8, ::1,"}),
    ):
        assert settings.values[name].shown() == expected
        assert [str(each) for each in settings.networks(name)] == expected.split(", ")
    for wrong in ("x", "127.0.0.1/8", "::/129", "127.0.0.0/8 ::1"):
        with pytest.raises(SettingsRefused, match="must be a list of networks such as"):
            of({name: wrong})


def test_rates() -> None:
    """Profile and room rates reach the quotas in force."""
    assert of().quotas().room_rates
    quotas = of({"request_rates": "aws", "room_message_rates": "off"}).quotas()
    assert (quotas.profile, quotas.room_rates) == (RateProfile.AWS, False)


def test_the_secret_is_hidden() -> None:
    """Neither `greenroom config` nor a refusal shows the secret; it is given with its id."""
    settings = of(environment=KEY)
    shown = [value.shown() for value in settings.values.values()]
    assert "s" * 16 not in shown
    assert settings.values["secret_access_key"].shown() == "(hidden)"
    assert of().values["secret_access_key"].shown() == ""
    with pytest.raises(SettingsRefused) as refused:
        of(environment={**KEY, "GREENROOM_SECRET_ACCESS_KEY": "too short"})
    assert "too short" not in str(refused.value)
    for name, value in KEY.items():
        with pytest.raises(SettingsRefused, match="go together"):
            of(environment={name: value})


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is missing, no TOML or no UTF-8 is refused in one line with its name."""
    with pytest.raises(SettingsRefused, match=r"cannot read .*missing\.toml"):
        of(file=tmp_path / "missing.toml")
    with pytest.raises(SettingsRefused, match="cannot read"):
        of(file=tmp_path)
    with pytest.raises(SettingsRefused, match="is not TOML"):
        of(file=toml(tmp_path, "port = \n"))
    (tmp_path / "latin.toml").write_bytes(b'host = "\xe4"')
    with pytest.raises(SettingsRefused, match="is not TOML"):
        of(file=tmp_path / "latin.toml")


def test_which_file(tmp_path: Path) -> None:
    """The flag names the file, else the variable; an empty variable names none."""
    environment = {"GREENROOM_CONFIG": "v.toml"}
    assert config_file(Path("f.toml"), environment) == Path("f.toml")
    assert config_file(None, environment) == Path("v.toml")
    assert config_file(None, {"GREENROOM_CONFIG": ""}) is None
    assert config_file(None, {}) is None


def test_a_number_may_be_left_out() -> None:
    """The bound of memory is the machine's then."""
    assert of().optional_number("memory_bytes") is None
    assert of({"memory_bytes": "67108864"}).optional_number("memory_bytes") == 67_108_864


def test_a_number_may_have_another_meaning() -> None:
    """The audit log's file has a size that makes sense, or none."""
    for given in (0, "0", 1_048_576):
        assert load({}, {"GREENROOM_AUDIT_LOG_BYTES": str(given)}, None).number(
            "audit_log_bytes"
        ) == int(given)
    with pytest.raises(SettingsRefused, match=r"must be a whole number from 1048576 to .*, or 0$"):
        load({}, {"GREENROOM_AUDIT_LOG_BYTES": "1"}, None)


@pytest.mark.parametrize(
    ("flags", "served"),
    [
        ({}, {"us-east-1"}),
        ({"region": "eu-west-1"}, {"eu-west-1"}),
        (
            {"region": "eu-west-1", "regions": "us-east-1, ap-south-1"},
            {"eu-west-1", "us-east-1", "ap-south-1"},
        ),
        ({"regions": "*"}, None),
        ({"regions": "eu-west-1,*"}, None),
    ],
)
def test_regions(flags: dict[str, object], served: set[str] | None) -> None:
    """The region itself, what is named beside it, or any; rooms of others are reached by nobody."""
    settings = load(flags, {}, None)
    assert settings.served_regions() == served
    used = {"us-east-1", "sa-east-1", "af-south-1"}
    assert settings.unserved(frozenset(used)) == ([] if served is None else sorted(used - served))


@pytest.mark.parametrize("text", ["EU", "us_east_1", "us-east-*", "a" * 33])
def test_wrong_regions(text: str) -> None:
    """A region looks like one: a typing error or a pattern is refused."""
    with pytest.raises(SettingsRefused, match=r"regions has .*: must be a region such as"):
        load({"regions": f"eu-west-1,{text}"}, {}, None)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"tls_certificate_file": "c.pem"}, "tls_certificate_file and tls_key_file go together"),
        ({"tls_key_file": "k.pem"}, "tls_certificate_file and tls_key_file go together"),
        (
            {"tls_certificate_file": "c.pem", "tls_key_file": "k.pem", "dev_tls": "on"},
            "dev_tls makes a certificate: give none beside it",
        ),
        ({"proxy_protocol": "on"}, "proxy_protocol needs trusted_proxies"),
        ({"forwarded_proto": "on"}, "forwarded_proto needs trusted_proxies"),
        (
            {
                "forwarded_proto": "on",
                "forwarded_header": "forwarded",
                "trusted_proxies": "127.0.0.1",
            },
            "forwarded_proto goes with x-forwarded-for",
        ),
    ],
)
def test_what_does_not_go_together(flags: dict[str, object], message: str) -> None:
    """Settings that contradict each other, or of which one is missing, are refused by name."""
    with pytest.raises(SettingsRefused, match=f"^{message}"):
        load(flags, {}, None)


@pytest.mark.parametrize(
    "flags",
    [
        {"tls_certificate_file": "c.pem", "tls_key_file": "k.pem"},
        {"dev_tls": "on"},
        {"proxy_protocol": "on", "trusted_proxies": "127.0.0.1"},
        {"forwarded_proto": "on", "trusted_proxies": "127.0.0.1"},
        {"forwarded_header": "forwarded", "trusted_proxies": "127.0.0.1"},
        {"forwarded_header": "forwarded"},
    ],
)
def test_what_goes_together(flags: dict[str, object]) -> None:
    """The same settings in the combinations that make sense are taken."""
    settings = load(flags, {}, None)
    assert {settings.values[name].origin for name in flags} == {"command line"}
