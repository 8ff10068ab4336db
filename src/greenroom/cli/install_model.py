"""`greenroom install-model`: what boto3 and the AWS CLI need to know Greenroom's own API."""

from pathlib import Path

import click

from greenroom.aws import own_service
from greenroom.cli.options import fail
from greenroom.process.start_refused import FileUnwritable


@click.command("install-model")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("~/.aws/models"),
    help="Where boto3 and the AWS CLI look for models; others by AWS_DATA_PATH.  [~/.aws/models]",
)
def install_model(directory: Path) -> None:
    """Let boto3 and the AWS CLI know Greenroom's own API: `aws greenroom get-room-settings`.

    It writes files, and asks no service.
    """
    place = directory.expanduser() / own_service.SERVICE / own_service.API_VERSION
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name in own_service.FILES:
            (place / name).write_bytes(own_service.file(name))
    except OSError as error:
        raise fail(FileUnwritable(f"cannot write to {place}: {error.strerror}")) from None
    click.echo(
        f"The model is in {place}.\n"
        "Next: export AWS_ENDPOINT_URL_GREENROOM=http://127.0.0.1:8470, then aws greenroom help"
    )
