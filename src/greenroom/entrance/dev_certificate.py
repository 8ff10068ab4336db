"""A certificate for development, signed by itself: `wss` works from pages that came over https.

It is kept in the data directory, so that whoever was told to trust it need not be told again. It
is made anew when it does not cover the host, or ends within a month.
"""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from greenroom.process.files import write_private

LIFETIME = timedelta(days=365)
SPARE = timedelta(days=30)
"""One that ends sooner is made anew."""

CERTIFICATE_NAME, KEY_NAME = "dev-tls-certificate.pem", "dev-tls-key.pem"


def dev_certificate(directory: Path, host: str) -> tuple[Path, Path]:
    """Return the files of a certificate for this machine and the host, and of its key.

    Raises:
        OSError: the directory cannot be written.
    """
    certificate_file, key_file = directory / CERTIFICATE_NAME, directory / KEY_NAME
    names, now = _names(host), datetime.now(UTC)
    if not (key_file.exists() and _is_good(certificate_file, names, now)):
        key = ec.generate_private_key(ec.SECP256R1())
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(key_file, _pem(key))
        certificate = _sign(key, names, now)
        write_private(
            certificate_file, certificate.public_bytes(serialization.Encoding.PEM).decode()
        )
    return certificate_file, key_file


def _names(host: str) -> list[x509.GeneralName]:
    names = {name: _name(name) for name in ("localhost", "127.0.0.1", "::1", host)}
    return [name for text, name in names.items() if text not in {"0.0.0.0", "::"}]  # noqa: S104 - nobody connects to a wildcard


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host.encode("idna").decode("ascii"))


def _is_good(file: Path, names: list[x509.GeneralName], now: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        covered = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    return certificate.not_valid_after_utc > now + SPARE and set(names) <= set(covered.value)


def _sign(
    key: ec.EllipticCurvePrivateKey, names: list[x509.GeneralName], now: datetime
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Greenroom, for development")])
    usage = dict.fromkeys(_OTHER_USES, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, **usage), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


_OTHER_USES = (
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
