"""`greenroom serve`: run the service until it is stopped."""

import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import click
import msgspec

from greenroom.cli.options import fail, load_settings, settings_options
from greenroom.cli.streams import say_if_possible
from greenroom.demo.page import Demo
from greenroom.entrance.ready import Ready
from greenroom.identities import root_key
from greenroom.process.event_loop import allow_files, in_background, loop_factory, map_large_buffers
from greenroom.process.files import write_private
from greenroom.process.start_refused import FileUnwritable, StartRefused
from greenroom.settings.table import BY_SETTING
from greenroom.settings.values import Settings
from greenroom.storage.base import StorageUnavailable
from greenroom.telemetry import logs

FORGOTTEN = "in memory, forgotten at the end"


@click.command()
@settings_options
@click.option(
    "--takeover",
    is_flag=True,
    help="Take the place of the service that runs on the data directory; no client is refused.",
)
@click.option("--background", is_flag=True, help="Return when the service is ready; it runs on.")
@click.option(
    "--demo", is_flag=True, help="Show a page to try, to browsers on this machine: two viewers."
)
def serve(
    config_file: Path | None,
    takeover: bool,
    background: bool,
    demo: bool,
    **given: str | None,
) -> None:
    """Run the service.

    Every setting: greenroom config --explain.
    """
    tell = in_background() if background else None
    try:
        settings = load_settings(given, config_file)
        page = Demo.of(settings) if demo else None
        # Most of a start's imports: what is refused up to here needs none of them.
        from greenroom.server.kept import not_kept
        from greenroom.server.parts import Parts
        from greenroom.server.serve import run_service

        logs.configure(settings.text("log_level"), settings.text("log_format"))
        allow_files()
        if settings.text("dev_tls") == "on" or settings.optional_path("tls_key_file"):
            map_large_buffers()
        with (
            _ready_file(settings.optional_path("ready_file"), keep=takeover),
        ):
            announce = partial(_announce, settings, tell=tell, demo=page)
            parts = Parts() if page is None else Parts(admits=page.admit, application=page.over)
            try:
                if settings.number("processes") > 1:
                    _serve_with_several(settings, announce, takeover=takeover)
                else:
                    work = run_service(settings, announce, taking_over=takeover, parts=parts)
                    with asyncio.Runner(loop_factory=loop_factory()) as runner:
                        runner.run(work)
            except StorageUnavailable as error:
                raise not_kept(settings, error) from None
    except StartRefused as refused:
        raise fail(refused) from None


def _serve_with_several(
    settings: Settings, announce: Callable[[Ready], None], *, takeover: bool
) -> None:
    from greenroom.server.several import run_processes

    # The standard library's loop: who looks after processes forks them, for which uvloop's is not
    # made.
    asyncio.run(run_processes(settings, announce, taking_over=takeover))


@contextmanager
def _ready_file(path: Path | None, *, keep: bool) -> Iterator[None]:
    """See that a ready file is there only while the service is, for those who wait for it.

    With `keep`, that of another process stays until this one is ready. In the end it is removed
    unless it is another's by then.

    Raises:
        FileUnwritable: what an earlier service left behind cannot be removed.
    """
    try:
        if path is not None and not keep:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise FileUnwritable(f"cannot write the ready file {path}: {error.strerror}") from None
    try:
        yield
    finally:
        if path is not None:
            with suppress(OSError, msgspec.DecodeError):
                if msgspec.json.decode(path.read_bytes(), type=_Owner).pid == os.getpid():
                    path.unlink()


class _Owner(msgspec.Struct):
    """Whose ready file it is."""

    pid: int


def _announce(
    settings: Settings,
    ready: Ready,
    tell: Callable[[], None] | None = None,
    demo: Demo | None = None,
) -> None:
    if demo is not None:
        demo.sign_with(ready)
    _write_ready_file(settings, ready)
    shown = _banner(ready, "Ctrl-C" if tell is None else f"kill {ready.pid}")
    say_if_possible(shown if demo is None else f"{shown}\nDemo:    {demo.url}")
    if tell is not None:
        tell()


def _write_ready_file(settings: Settings, ready: Ready) -> None:
    path = settings.optional_path("ready_file")
    if path is None:
        return
    text = msgspec.json.format(msgspec.json.encode(ready)).decode() + "\n"
    try:
        write_private(path, text)
    except OSError as error:
        raise FileUnwritable(f"cannot write the ready file {path}: {error.strerror}") from None


def _banner(ready: Ready, stop: str) -> str:
    """Return what a person sees first; the secret only on a terminal, never in a captured log."""
    lines = [
        f"Greenroom is ready. API        {ready.api_url}",
        f"                    WebSocket  {ready.websocket_url}",
        f"                    Health     {ready.health_url}",
        f"                    Data       {ready.storage or ready.data_dir or FORGOTTEN}",
        f"                    Chat logs  {ready.chat_logs}",
        f"                    Access key {ready.access_key_id}",
        f"                    Secret     {_secret(ready)}",
        *_certificate(ready),
        *_every_address(ready),
        "",
        f"Try it:  {_command(ready)}",
        *_chat(ready),
        f"Stop it: {stop}",
    ]
    return "\n".join(lines)


def _chat(ready: Ready) -> list[str]:
    """Return the line that makes a chat of it, where the directory leads to the service."""
    if ready.credentials_file is None or ready.data_dir is None:
        return []
    here = BY_SETTING["data_dir"].default
    is_here = isinstance(here, Path) and str(here.resolve()) == ready.data_dir
    option = "" if is_here else f" --data-dir {shlex.quote(ready.data_dir)}"
    return [f"Chat:    greenroom chat lobby --as alice{option}"]


def _certificate(ready: Ready) -> list[str]:
    file = ready.certificate_to_trust
    return [] if file is None else [f"                    TLS        trust {file}"]


def _every_address(ready: Ready) -> list[str]:
    if ready.listening_on in ready.api_url:
        return []
    return [f"                    Listens on {ready.listening_on}: every address of this machine"]


def _secret(ready: Ready) -> str:
    if ready.secret_given:
        return "as given in the settings"
    if sys.stdout.isatty():
        return ready.secret_access_key
    if ready.credentials_file is not None:
        return f"in {ready.credentials_file}"
    return "in the ready file (--ready-file); not shown where it could be recorded"


def _command(ready: Ready) -> str:
    call = f"aws ivschat list-rooms --endpoint-url {ready.api_url} --region {ready.region}"
    if ready.certificate_to_trust is not None:
        call += f" --ca-bundle {shlex.quote(ready.certificate_to_trust)}"
    if ready.credentials_file is None:
        spelled = shlex.quote(ready.secret_access_key) if sys.stdout.isatty() else "…"
        if ready.secret_given:
            spelled = '"$GREENROOM_SECRET_ACCESS_KEY"'
        return f"AWS_ACCESS_KEY_ID={ready.access_key_id} AWS_SECRET_ACCESS_KEY={spelled} {call}"
    file = shlex.quote(ready.credentials_file)
    return f"AWS_SHARED_CREDENTIALS_FILE={file} {call} --profile {root_key.PROFILE}"
