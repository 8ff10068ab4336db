"""What the reference shows for Go, with the signer of the AWS SDK for Go.

`scripts/go-sdk` brings both; without them it is left out, as it is by `make test`.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.running.service import Service, environment

ROOT = Path(__file__).resolve().parents[2]
UNPACKED = ROOT / "build/go"
GO = UNPACKED / "usr/lib/go/bin/go"

MAIN = """
import (
	"fmt"
	"io"
	"os"
)

func main() {
	key, secret, endpoint := os.Getenv("KEY"), os.Getenv("SECRET"), os.Getenv("ENDPOINT")
	credentials := aws.Credentials{AccessKeyID: key, SecretAccessKey: secret}
	ctx, operation := context.Background(), "UpdateRoomSettings"
	for _, asked := range os.Args[1:] {
		answer, err := greenroom(ctx, operation, []byte(asked), endpoint, "us-east-1", credentials)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(answer.Body)
		fmt.Println(answer.StatusCode, string(body))
	}
}
"""


@pytest.mark.skipif(not GO.exists(), reason="needs Go: scripts/go-sdk")
def test_the_way_of_go(service: Service, arn: str, tmp_path: Path) -> None:
    """What the page shows is built as it is, and signs what the service takes."""
    page = (ROOT / "docs/reference/extensions.md").read_text()
    (shown,) = re.findall(r"```go\n(.*?)```", page, re.DOTALL)
    imports, functions = shown.split("\n\nfunc ", 1)
    program = tmp_path / "main.go"
    ours, main = MAIN.split("\n\nfunc ", 1)
    program.write_text(f"package main\n\n{imports}\n{ours}\n\nfunc {functions}\nfunc {main}")
    variables = {
        "ENDPOINT": service.api_url,
        "KEY": service.ready["access_key_id"],
        "SECRET": service.ready["secret_access_key"],
        "GO111MODULE": "off",
        "GOPATH": str(UNPACKED / "usr/share/gocode"),
        "GOROOT": str(GO.parents[1]),
        "GOCACHE": str(UNPACKED / "cache"),
    }
    asked = [
        f'{{"roomIdentifier": "{arn}", "settings": {{"slowModeSeconds": 5}}}}',
        f'{{"roomIdentifier": "{arn}0", "settings": {{"slowModeSeconds": 5}}}}',
    ]
    done = subprocess.run(
        [GO, "run", program, *asked],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=True,
    )
    changed, missing = done.stdout.splitlines()
    assert changed.startswith("200 ")
    assert '"slowModeSeconds":5' in changed
    assert missing.startswith("404 ")
