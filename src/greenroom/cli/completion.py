"""`greenroom completion`: what a shell needs to complete commands, options and names of rooms.

click writes the scripts, and finds what may follow: the command itself is asked, so nothing that is
completed can differ from what there is.
"""

import os

import click
from click.shell_completion import get_completion_class

VARIABLE = "_GREENROOM_COMPLETE"
"""Set by the shell's script: the command completes, and does nothing else."""

SHELLS = {
    "bash": 'add to ~/.bashrc: eval "$(greenroom completion bash)"',
    "zsh": 'add to ~/.zshrc, behind compinit: eval "$(greenroom completion zsh)"',
    "fish": "greenroom completion fish > ~/.config/fish/completions/greenroom.fish",
}
"""What is to be done for each shell."""


_HELP = "Print the script by which a shell completes greenroom's commands.\n\n\b\n" + "\n".join(
    f"{shell:6}{what}" for shell, what in SHELLS.items()
)


@click.command(help=_HELP)
@click.argument("shell", type=click.Choice(list(SHELLS)))
def completion(shell: str) -> None:
    """Print a shell's script."""
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - click has the three of them
    root = click.get_current_context().find_root()
    click.echo(kind(root.command, {}, "greenroom", VARIABLE).source())


def is_completing() -> bool:
    """Return whether a shell asks what may follow: then nothing is told on the terminal."""
    return VARIABLE in os.environ
