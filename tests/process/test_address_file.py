"""The file that says where the service was last reached."""

from pathlib import Path

import pytest

from greenroom.process.address_file import NAME, Address, read, write


@pytest.mark.parametrize("certificate", [None, "/data/certificate.pem"])
def test_what_is_written_is_read(tmp_path: Path, certificate: str | None) -> None:
    """The address is read as it was written, and nobody else may read it."""
    address = Address("https://127.0.0.1:8443", certificate)
    write(tmp_path, address)
    assert read(tmp_path) == address
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / NAME).read_text().endswith("}\n")


def test_what_cannot_be_read_or_written(tmp_path: Path) -> None:
    """There is no address then, and no error."""
    write(tmp_path / "missing", Address("http://127.0.0.1"))
    assert read(tmp_path / "missing") is None
    for text in (b"", b"{}", b"\xff", b'{"api_url": 1}', b'{"api_url": "\xff"}'):
        (tmp_path / NAME).write_bytes(text)
        assert read(tmp_path) is None
