"""`greenroom admin`: what a person does with it, against the real process."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner, Result

from greenroom.cli.exit_codes import ExitCode
from greenroom.cli.main import main
from tests.running.said import until
from tests.running.service import Service, running

Admin = Callable[..., Result]
ALLOW = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"%s","Resource":"*"}}'


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Return a service."""
    with running(tmp_path_factory.mktemp("admin") / "data") as started:
        yield started


@pytest.fixture
def admin(service: Service, monkeypatch: pytest.MonkeyPatch) -> Admin:
    """Return what calls `greenroom admin` with the key in the data directory."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GREENROOM_DATA_DIR", str(service.ready["data_dir"]))
    monkeypatch.setenv("AWS_ENDPOINT_URL", service.api_url)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["admin", *arguments])

    return call


def said(result: Result) -> str:
    """Return what a command printed; it must have succeeded."""
    assert result.exit_code == 0, result.output
    return result.stdout


def answer(result: Result) -> Any:
    """Return the JSON that a command printed."""
    return json.loads(said(result))


def document(tmp_path: Path, action: str = "ivschat:*") -> str:
    """Return the path of a policy document."""
    file = tmp_path / "policy.json"
    file.write_text(ALLOW % action)
    return str(file)


def test_life_of_a_user(admin: Admin, service: Service, tmp_path: Path) -> None:
    """A user is added, gets a key and a policy, uses both, and goes."""
    assert "user/anna\n" in said(admin("user", "add", "anna", "--tag", "team=a"))
    made = answer(admin("key", "create", "anna", "--json"))
    assert said(admin("policy", "put", "chat", document(tmp_path), "--user", "anna"))
    chat = service.boto3(access_key_id=made["AccessKeyId"], secret=made["SecretAccessKey"])
    chat.create_room()
    assert said(admin("simulate", "anna", "ivschat:GetRoom")) == "allowed: by user_anna_chat\n"
    assert said(admin("simulate", "anna", "iam:GetUser")) == "implicitDeny: no policy allows it\n"
    said(admin("key", "disable", made["AccessKeyId"]))
    (listed,) = answer(admin("key", "list", "anna", "--json"))
    assert listed["Status"] == "Inactive"
    said(admin("key", "enable", made["AccessKeyId"]))
    assert "team=a" in said(admin("user", "show", "anna"))
    assert admin("user", "remove", "anna").exit_code == ExitCode.REFUSED
    said(admin("user", "remove", "anna", "--force"))
    assert admin("user", "show", "anna").exit_code == ExitCode.REFUSED


def test_the_key_is_printed_for_a_credentials_file(admin: Admin) -> None:
    """What `key create` prints is a section of the AWS tools' credentials file."""
    said(admin("user", "add", "printed"))
    lines = said(admin("key", "create", "printed")).splitlines()
    assert lines[0] == "[printed]"
    assert [line.partition(" = ")[0] for line in lines[1:]] == [
        "aws_access_key_id",
        "aws_secret_access_key",
    ]


def test_managed_policies(admin: Admin, tmp_path: Path) -> None:
    """Putting a managed policy again makes a version that counts, however often it is done."""
    said(admin("user", "add", "bert"))
    arn = said(admin("policy", "put", "shared", document(tmp_path))).strip()
    for number in range(2, 8):
        put = admin("policy", "put", "shared", document(tmp_path, "ivschat:Get*"))
        assert said(put) == f"{arn} is now v{number}\n"
    said(admin("policy", "attach", "shared", "--user", "bert"))
    assert arn in said(admin("policy", "list", "--user", "bert"))
    assert said(admin("simulate", "bert", "ivschat:CreateRoom")).startswith("implicitDeny")
    assert admin("policy", "remove", "shared").exit_code == ExitCode.REFUSED
    said(admin("policy", "detach", "shared", "--user", "bert"))
    said(admin("policy", "remove", "shared"))
    assert admin("policy", "attach", "shared", "--user", "bert").exit_code == ExitCode.REFUSED


def test_roles(admin: Admin, tmp_path: Path) -> None:
    """A role trusts the account unless a file says whom else."""
    said(admin("role", "add", "moderator", "--description", "Moderators", "--hours", "8"))
    (role,) = answer(admin("role", "list", "--json"))
    assert role["MaxSessionDuration"] == 8 * 3600
    statement = role["AssumeRolePolicyDocument"]["Statement"][0]
    assert statement["Principal"] == {"AWS": "123456789012"}
    trust = tmp_path / "trust.json"
    statement["Principal"] = {"AWS": "210987654321"}
    trust.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    said(admin("role", "trust", "moderator", str(trust)))
    said(admin("policy", "put", "p", document(tmp_path), "--role", "moderator"))
    found = said(admin("simulate", "moderator", "ivschat:GetRoom", "--role"))
    assert found.startswith("allowed")
    said(admin("role", "remove", "moderator", "--force"))
    assert said(admin("role", "list")).splitlines() == ["ROLE  PATH  CREATED  DESCRIPTION"]


def test_who(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of the AWS variables comes first, with a session token where there is one."""
    assert said(admin("whoami")) == "arn:aws:iam::123456789012:root\n"
    said(admin("user", "add", "carl"))
    key = answer(admin("key", "create", "carl", "--json"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    assert said(admin("whoami")) == "arn:aws:iam::123456789012:user/carl\n"
    denied = admin("user", "list")
    assert denied.exit_code == ExitCode.REFUSED
    assert denied.stderr.count("\n") == 1
    assert "AccessDenied" in denied.stderr
    monkeypatch.setenv("AWS_SESSION_TOKEN", "not a token")
    assert "InvalidClientTokenId" in admin("whoami").stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["whoami", "--endpoint-url", "http://127.0.0.1:1"], ExitCode.UNREACHABLE),
        (["whoami", "--endpoint-url", "ftp://x"], ExitCode.USAGE),
        (["user", "add", "not a name"], ExitCode.REFUSED),
        (["user", "add", "u", "--tag", "novalue"], ExitCode.USAGE),
        (["policy", "list", "--user", "u", "--role", "r"], ExitCode.USAGE),
        (["policy", "attach", "p"], ExitCode.USAGE),
        (["simulate", "u", "ivschat:CreateRom"], ExitCode.USAGE),
        (["nothing"], ExitCode.USAGE),
    ],
)
def test_refusals(admin: Admin, arguments: list[str], code: ExitCode) -> None:
    """What cannot be done is said in one line, with the documented code."""
    result = admin(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Error: ")


@pytest.mark.parametrize("body", [b"<html/>", b"no XML", b"<A><ResponseMetadata/></A>"])
def test_something_else_that_answers(admin: Admin, body: bytes) -> None:
    """An endpoint that is not Greenroom is told apart."""

    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        result = admin("whoami", "--endpoint-url", url)
        server.shutdown()
        thread.join()
    assert result.exit_code == ExitCode.UNREACHABLE
    assert "not as Greenroom does" in result.stderr


FOREIGN = {
    "one variable": {"AWS_ACCESS_KEY_ID": "test"},
    "test keys": {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
    "real keys": {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    },
    "a profile": {"AWS_PROFILE": "work"},
}


@pytest.mark.parametrize("foreign", FOREIGN)
def test_keys_for_aws_are_not_in_the_way(
    admin: Admin, monkeypatch: pytest.MonkeyPatch, foreign: str
) -> None:
    """Keys of the environment that the service does not know are passed over, which is said."""
    for name, value in FOREIGN[foreign].items():
        monkeypatch.setenv(name, value)
    result = admin("whoami")
    assert said(result) == "arn:aws:iam::123456789012:root\n"
    noted = "AWS_SECRET_ACCESS_KEY" in FOREIGN[foreign]
    assert ("does not know the access key" in result.stderr) is noted


def test_a_key_that_is_known_is_used(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's key of the environment goes before the root's, whatever it may do."""
    said(admin("user", "add", "dora"))
    made = answer(admin("key", "create", "dora", "--json"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", made["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", made["SecretAccessKey"])
    refused = admin("user", "list")
    assert (refused.exit_code, "AccessDenied" in refused.stderr) == (ExitCode.REFUSED, True)
    assert f"{made['AccessKeyId']} of the variable AWS_ACCESS_KEY_ID" in refused.stderr


def test_the_directory_is_enough(
    service: Service, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --data-dir the service on any port is found, and asked with its own key."""
    monkeypatch.delenv("GREENROOM_DATA_DIR")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    for name, value in FOREIGN["real keys"].items():
        monkeypatch.setenv(name, value)
    directory = str(service.ready["data_dir"])
    for arguments in (
        ["whoami", "--data-dir", directory],
        ["--data-dir", directory, "whoami"],
    ):
        result = admin(*arguments)
        assert said(result) == "arn:aws:iam::123456789012:root\n"
        assert result.stderr == ""


def test_a_refused_key_is_named_with_its_place(
    service: Service, admin: Admin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Which key it was, of which file, and whom it was sent to: all that there is to look at."""
    (tmp_path / "credentials").write_text(
        "[greenroom]\naws_access_key_id = AKIAOLD\naws_secret_access_key = hidden-secret\n"
    )
    result = admin("whoami", "--data-dir", str(tmp_path), "--endpoint-url", service.api_url)
    assert result.exit_code == ExitCode.REFUSED
    assert "InvalidClientTokenId" in result.stderr
    assert f"access key AKIAOLD of {tmp_path}/credentials [greenroom]" in result.stderr
    assert service.api_url in result.stderr
    assert "hidden-secret" not in result.output
    assert result.stderr.count("\n") == 1


def session_client(service: Service, credentials: Any) -> Any:
    """Return a client of a session."""
    return boto3.client(
        "ivschat",
        endpoint_url=service.api_url,
        region_name="us-east-1",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
    )


def test_sessions_are_ended_at_once(admin: Admin, service: Service, tmp_path: Path) -> None:
    """A session that is in use is refused from the next request on; a new one is not."""
    said(admin("role", "add", "shift"))
    said(admin("policy", "put", "all", document(tmp_path), "--role", "shift"))
    sts = boto3.client(
        "sts",
        endpoint_url=service.api_url,
        region_name="us-east-1",
        aws_access_key_id=service.ready["access_key_id"],
        aws_secret_access_key=service.ready["secret_access_key"],
    )
    role = {"RoleArn": "arn:aws:iam::123456789012:role/shift", "RoleSessionName": "late"}

    def of_role() -> Any:
        return session_client(service, sts.assume_role(**role)["Credentials"])

    def of_root() -> Any:
        return session_client(service, sts.get_session_token()["Credentials"])

    for begin, arguments, sentence in (
        (of_role, ("role", "end-sessions", "SHIFT"), "ended the sessions of role SHIFT\n"),
        (of_root, ("account", "end-sessions"), "ended the sessions of the root\n"),
    ):
        sessions = [begin(), begin()]
        for session in sessions:
            session.list_rooms()
        assert said(admin(*arguments)) == sentence
        for session in sessions:
            with pytest.raises(ClientError, match="ExpiredTokenException"):
                session.list_rooms()
        begin().list_rooms()
    audit = Path(service.ready["data_dir"], "audit.log")
    # A line is written soon after the answer.
    until(lambda: audit.read_text().count('"EndSessions"') == 2, "both lines are written")
    lines = [json.loads(line) for line in audit.read_text().splitlines() if "EndSessions" in line]
    assert [each.get("details") for each in lines] == [{"RoleName": "SHIFT"}, None]
    refused = admin("role", "end-sessions", "nobody")
    assert (refused.exit_code, refused.stderr.count("\n")) == (ExitCode.REFUSED, 1)
    assert "The role with name nobody cannot be found." in refused.stderr


def test_a_service_with_a_certificate_of_its_own(
    tmp_path: Path, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificate for development is trusted by who names its directory."""
    monkeypatch.delenv("GREENROOM_DATA_DIR")
    with running(tmp_path / "data", "--dev-tls") as service:
        directory = str(service.ready["data_dir"])
        assert said(admin("whoami", "--data-dir", directory)).endswith(":root\n")
    gone = admin("whoami", "--data-dir", directory)
    assert gone.exit_code == ExitCode.UNREACHABLE
    assert f"{directory}/address.json" in gone.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["user", "show", "nobody"],
        ["user", "add", "twice"],
        ["policy", "attach", "nothing", "--user", "twice"],
        ["token-keys", "kill", "nothing"],
        ["key", "delete", "AKIAIOSFODNN7EXAMPLE"],
        ["user", "end-sessions", "nobody"],
    ],
    ids=" ".join,
)
def test_whatever_the_service_refuses_is_one_code(admin: Admin, arguments: list[str]) -> None:
    """What is not there, is there already, or is not valid to the service: 8, as documented."""
    admin("user", "add", "twice")
    result = admin(*arguments)
    assert (result.exit_code, result.stdout) == (ExitCode.REFUSED, ""), result.stderr
    assert result.stderr.count("\n") == 1
