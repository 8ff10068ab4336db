"""`greenroom install-model`: botocore finds the service where it was put."""

from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.session
import pytest
from click.testing import CliRunner

from greenroom.aws.own_service import OPERATIONS
from greenroom.cli.main import main


def test_botocore_knows_every_operation(tmp_path: Path) -> None:
    """As a service of its own, with typed errors; a second time is no error."""
    for _ in range(2):
        done = CliRunner().invoke(main, ["install-model", "--directory", str(tmp_path)])
        assert done.exit_code == 0, done.output
        assert str(tmp_path) in done.output
    session = botocore.session.Session()
    session.register_component("data_loader", botocore.loaders.create_loader(str(tmp_path)))
    client: Any = session.create_client(
        "greenroom",
        region_name="us-east-1",
        endpoint_url="http://127.0.0.1:1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )
    assert set(client.meta.method_to_api_mapping.values()) == set(OPERATIONS)
    assert client.exceptions.ResourceNotFoundException


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line says which, and why."""
    (tmp_path / "greenroom").write_text("")
    done = CliRunner().invoke(main, ["install-model", "--directory", str(tmp_path)])
    assert done.exit_code != 0
    assert str(tmp_path / "greenroom") in done.output
