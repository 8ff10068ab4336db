"""What can be told of AWS's credentials without asking anybody; botocore must find the same."""

from pathlib import Path

import pytest
from botocore.session import Session

from greenroom.aws_access.environment import credentials_source, endpoint_variable, may_have_a_role

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDVARIABLE", "AWS_SECRET_ACCESS_KEY": "secret"}
NAMES = (
    *(*KEYS, "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"),
    *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Return the variables of files with two profiles."""
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = s\n"
        "[work]\naws_access_key_id = AKIDWORK\naws_secret_access_key = s\n"
    )
    (tmp_path / "config").write_text(
        "[default]\nregion = eu-west-1\n"
        "[profile play]\naws_access_key_id = AKIDPLAY\naws_secret_access_key = s\n"
    )
    return {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
    }


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({}, "AKIDDEFAULT"),
        ({"AWS_PROFILE": "work"}, "AKIDWORK"),
        ({"AWS_DEFAULT_PROFILE": "work"}, "AKIDWORK"),
        ({"AWS_PROFILE": "play"}, "AKIDPLAY"),
        (KEYS, "AKIDVARIABLE"),
        ({**KEYS, "AWS_PROFILE": "work"}, "AKIDVARIABLE"),
    ],
)
def test_as_botocore_finds_them(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, given: dict[str, str], key: str
) -> None:
    """Of variables and files the one is told of that botocore takes."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in (files | given).items():
        monkeypatch.setenv(name, value)
    found = credentials_source(files | given)
    assert found is not None
    assert found.access_key_id == key
    assert key in found.shown
    credentials = Session().get_credentials()
    assert credentials is not None
    assert credentials.access_key == key


@pytest.mark.parametrize("name", sorted(KEYS))
def test_half_a_key_in_variables(files: dict[str, str], name: str) -> None:
    """An id without its secret, and a secret without an id, are no key."""
    found = credentials_source({**files, name: KEYS[name]})
    assert found is not None
    assert found.access_key_id == "AKIDDEFAULT"


def test_where_the_key_cannot_be_read(files: dict[str, str], tmp_path: Path) -> None:
    """Roles are told of by what names them."""
    (tmp_path / "config").write_text("[profile role]\nrole_arn = arn\n[profile none]\nregion = r\n")
    (tmp_path / "credentials").write_text("")
    found = credentials_source({**files, "AWS_PROFILE": "role"})
    assert found is not None
    assert found.shown == f"[profile role] in {tmp_path}/config"
    for name in ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        found = credentials_source({**files, name: "x"})
        assert found is not None
        assert found.shown == f"the variable {name}"
    assert credentials_source({**files, "AWS_PROFILE": "none"}) is None
    assert credentials_source(files) is None


@pytest.mark.parametrize("text", ["[", "\xff", "no section = 1"])
def test_files_that_cannot_be_read(files: dict[str, str], tmp_path: Path, text: str) -> None:
    """They are no source, and no fault here."""
    for name in ("credentials", "config"):
        (tmp_path / name).write_bytes(text.encode("latin-1"))
    assert credentials_source(files) is None


def test_endpoints() -> None:
    """A service's own variable goes before the one for all, unless all are ignored."""
    both = {"AWS_ENDPOINT_URL_LAMBDA": "a", "AWS_ENDPOINT_URL": "b"}
    assert endpoint_variable(both, "LAMBDA") == "AWS_ENDPOINT_URL_LAMBDA"
    assert endpoint_variable(both, "S3") == "AWS_ENDPOINT_URL"
    assert endpoint_variable({}, "S3") is None
    ignored = {**both, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    assert endpoint_variable(ignored, "LAMBDA") is None


def test_roles_of_machines() -> None:
    """They are looked for unless somebody switched that off."""
    assert may_have_a_role({})
    assert not may_have_a_role({"AWS_EC2_METADATA_DISABLED": "True"})


def test_a_section_that_is_there_twice(files: dict[str, str], tmp_path: Path) -> None:
    """Whoever wrote keys there meant AWS, though its tools may refuse the file."""
    section = "[default]\naws_access_key_id = TWICE\n"
    (tmp_path / "credentials").write_text(section * 2)
    found = credentials_source(files)
    assert found is not None
    assert found.access_key_id == "TWICE"
