"""The certificate of the port: what is read, when it is read again, and what is refused."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from greenroom.entrance import certificate as module
from greenroom.entrance.certificate import Certificate, certificate_of
from greenroom.settings.load import load
from greenroom.settings.values import SettingsRefused

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
NOW = datetime.now(UTC).replace(microsecond=0)


def written(
    directory: Path,
    name: str = "one",
    *,
    days: int = 7,
    key: Key | None = None,
    password: bytes | None = None,
) -> tuple[Path, Path]:
    """Write a certificate that is valid for so many days from now on, and its key."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    sealing = (
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password)
    )
    files = directory / "certificate.pem", directory / "key.pem"
    pem = serialization.Encoding.PEM
    files[0].write_bytes(certificate.public_bytes(pem))
    files[1].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, sealing))
    return files


def served(certificate: Certificate, trusted: Path, name: str) -> str | None:
    """Return the TLS version of a handshake with a client that trusts a file and wants a name."""
    client_context = ssl.create_default_context(cafile=str(trusted))
    client_context.set_alpn_protocols(["h2", "http/1.1"])
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(down, up, server_hostname=name)
    server = certificate.context.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert client.selected_alpn_protocol() == "http/1.1"
    return client.version()


def test_what_is_served(tmp_path: Path) -> None:
    """Clients that trust the certificate speak TLS 1.3 with it, and HTTP/1.1."""
    certificate = Certificate(*written(tmp_path))
    assert served(certificate, certificate.file, "one") == "TLSv1.3"
    context = certificate.context
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    for option in (ssl.OP_NO_COMPRESSION, ssl.OP_NO_RENEGOTIATION, ssl.OP_CIPHER_SERVER_PREFERENCE):
        assert context.options & option
    ciphers = [each["name"] for each in context.get_ciphers() if each["protocol"] == "TLSv1.2"]
    assert ciphers
    assert all(name.startswith("ECDHE-") for name in ciphers)
    assert all("GCM" in name or "CHACHA20" in name for name in ciphers)
    assert context.num_tickets == 1


def test_when_it_is_valid(tmp_path: Path) -> None:
    """From its first second to before its last; nothing is said while it is."""
    with capture_logs() as logs:
        certificate = Certificate(*written(tmp_path))
    assert logs == []
    first, last = (NOW + timedelta(days=days) for days in (-30, 7))
    for moment, valid in ((first, True), (last, False)):
        assert certificate.is_valid(moment.timestamp()) is valid
        assert certificate.is_valid(moment.timestamp() - 1) is not valid


def test_one_that_has_expired(tmp_path: Path) -> None:
    """It is served, because a client may take it; the log says so."""
    with capture_logs() as logs:
        certificate = Certificate(*written(tmp_path, days=-1))
    (line,) = logs
    ended = (NOW - timedelta(days=1)).isoformat()
    assert (line["event"], line["ended"]) == ("the certificate has expired", ended)
    assert not certificate.is_valid(NOW.timestamp())


@pytest.mark.parametrize(("left", "told"), [(1.0, 0), (0.0, 1)])
def test_the_moment_at_which_one_expires(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: float, told: int
) -> None:
    """From then on it has expired."""
    certificate = Certificate(*written(tmp_path))
    assert certificate._valid is not None
    now = certificate._valid[1] - left
    monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: now))
    with capture_logs() as logs:
        certificate._load()
    assert len(logs) == told


def test_a_certificate_whose_time_cannot_be_read(tmp_path: Path) -> None:
    """It counts as valid: OpenSSL has taken it."""
    certificate = Certificate(*written(tmp_path))
    certificate.file.write_bytes(b"no certificate")
    assert module._validity(certificate.file) is None
    certificate._valid = None
    assert certificate.is_valid(0)


def test_what_is_refused(tmp_path: Path) -> None:
    """The message says which file, and why; no password is asked for."""
    file, key = written(tmp_path)
    (tmp_path / "other").mkdir()
    _, another = written(tmp_path / "other")
    for files, why in (
        ((tmp_path / "none", key), "tls_certificate_file .*none cannot be read: No such file"),
        ((file, tmp_path / "none"), "tls_key_file .*none cannot be read: No such file"),
        ((key, key), "tls_key_file .*: one of them is not valid PEM"),
        ((file, another), "the key is not the certificate's"),
    ):
        with pytest.raises(SettingsRefused, match=why):
            Certificate(*files)
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it is refused
    with pytest.raises(SettingsRefused, match="the key is too short to be safe"):
        Certificate(*written(tmp_path, key=short))
    with pytest.raises(SettingsRefused, match="is encrypted; Greenroom needs it in clear"):
        Certificate(*written(tmp_path, password=b"secret"))


def test_what_the_settings_say(tmp_path: Path) -> None:
    """Both files, or no certificate."""
    file, key = written(tmp_path)
    both = {"tls_certificate_file": str(file), "tls_key_file": str(key)}
    found = certificate_of(load(both, {}, None))
    assert found is not None
    assert found.file == file
    assert certificate_of(load({}, {}, None)) is None


def test_it_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """New connections get the new one; one that is refused changes nothing, and is tried later."""
    certificate = Certificate(*written(tmp_path))
    with capture_logs() as logs:
        certificate.look()
        assert logs == [], "nothing has changed"
        old = tmp_path / "old.pem"
        old.write_bytes(certificate.file.read_bytes())
        certificate.file.unlink()
        certificate.look()
        assert logs[0]["event"] == "certificate not reloaded"
        assert served(certificate, old, "one") == "TLSv1.3"
        certificate.look()
        assert len(logs) == 1, "it is tried again when something changes"
        written(tmp_path, "two")
        certificate.look()
        assert (logs[1]["event"], logs[1]["file"]) == (
            "certificate reloaded",
            str(certificate.file),
        )
        assert served(certificate, certificate.file, "two") == "TLSv1.3"
        certificate.look()
        assert len(logs) == 2
