"""With OVER_TLS=1 each service of a test has a certificate, and each client trusts it.

Clients are told as anybody would tell them, by their environment: what they are asked to do, and
the tests, are the same.
"""

import base64
import functools
import hashlib
import os
import shlex
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp.connector
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from greenroom.entrance.dev_certificate import dev_certificate
from tests.running.asked import OVER_TLS

DIRECTORY = Path(__file__).parents[2] / "build" / "over-tls"

TRUSTING = (
    "SSL_CERT_FILE",
    "AWS_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "WEBSOCKET_CLIENT_CA_BUNDLE",
)
"""Names the file of certificates to trust to Python and `greenroom`, to boto3 and the AWS CLI (by
either of two, as tests take all of AWS's own away), to Node.js, and to websocket-client."""

OWN = "it is about what a service without a certificate says, or about certificates of its own"
IN_CLEAR = "it looks at bytes, ports or timings below TLS"
NOBODY = (
    "its clients block until they are served, and over TLS that is before they have sent anything"
)
THREADS = (
    "one thread reads from a connection while another writes, which Python's TLS does not allow"
)
PROXY = "what stands in front of the service, or begins a connection, speaks in clear"

PLAIN: Mapping[str, str] = {
    "test_admin.py::test_a_service_with_a_certificate_of_its_own": OWN,
    "test_command.py::test_ipv6": OWN,
    "test_connections.py::test_kick_races_with_sends": THREADS,
    "test_descriptors.py::test_no_descriptor_is_left": IN_CLEAR,
    "test_limits.py::test_connections_of_an_address[tls]": OWN,
    "test_limits.py::test_new_connections_of_an_address[tls]": OWN,
    "test_limits.py::test_unfinished_connections_of_an_address[tls]": OWN,
    "test_limits.py::test_unfinished_connections_of_the_node": OWN,
    "test_systemd.py::test_nobody_is_refused_between_two_starts": NOBODY,
    "test_takeover.py::test_who_comes_meanwhile_waits": NOBODY,
    "test_takeover.py::test_behind_the_proxy_protocol": PROXY,
    "tests/e2e/test_proxies.py": PROXY,
    "tests/e2e/test_tls.py": OWN,
    "tests/e2e/test_tls_records.py": OWN,
    "test_javascript[v2: a proxy cuts the path off]": PROXY,
    "test_javascript[v3: a proxy cuts the path off]": PROXY,
    "test_js_v2.py::test_options[httpOptions.agent": IN_CLEAR,
    "test_js_v2.py::test_options[httpOptions.proxy": PROXY,
    "test_js_v2.py::test_options[httpOptions.timeout": PROXY,
    "test_js_v2.py::test_options[sslEnabled": OWN,
    "test_js_v3.py::test_operations[requestHandler: a": IN_CLEAR,
}
"""Parts of the names of tests that are in clear whatever is asked for, and why."""


def prepare() -> None:
    """Have a certificate, and this process and its children trust it, if that was asked for."""
    if not OVER_TLS:
        return
    file, _ = dev_certificate(DIRECTORY, "127.0.0.1")
    os.environ.update(dict.fromkeys(TRUSTING, str(file)))
    # Made when it was imported, before anybody was asked for anything.
    aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(file)


def settings_for(program: Sequence[str], variables: Mapping[str, str]) -> dict[str, str]:
    """Return what a service that a test starts is given, unless it is given TLS, or none."""
    words = (*program, *variables)
    if not OVER_TLS or any("tls" in word.lower() for word in words if "bus" not in word.lower()):
        return {}
    file, key = dev_certificate(DIRECTORY, "127.0.0.1")
    return {"GREENROOM_TLS_CERTIFICATE_FILE": str(file), "GREENROOM_TLS_KEY_FILE": str(key)}


@functools.cache
def trusting() -> ssl.SSLContext:
    """Return the context of a client."""
    return ssl.create_default_context()


def trusting_browser(path: str) -> str:
    """Return a Chromium that trusts the certificate as well; it has its own list of authorities."""
    if not OVER_TLS:
        return path
    file, _ = dev_certificate(DIRECTORY, "127.0.0.1")
    key = x509.load_pem_x509_certificate(file.read_bytes()).public_key()
    spki = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    known = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    script = DIRECTORY / "chromium"
    flag = f"--ignore-certificate-errors-spki-list={known}"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(path)} {flag} "$@"\n')
    script.chmod(0o755)
    return str(script)


def reason_to_leave_out(nodeid: str) -> str | None:
    """Return why a test is not run over TLS, where it is not."""
    if not OVER_TLS:
        return None
    return next((why for part, why in PLAIN.items() if part in nodeid), None)
