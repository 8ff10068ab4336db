"""The corpus: inputs that are right, almost right, or once did harm, each named by what it is.

A folder for each kind. Files are taken as they are, byte for byte; see `corpus/README.md`.
"""

from collections.abc import Mapping
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def entries(kind: str) -> Mapping[str, bytes]:
    """Return the corpus of one kind, by name, in the order of the names."""
    return {path.stem: path.read_bytes() for path in sorted((CORPUS / kind).iterdir())}


def kinds() -> list[str]:
    """Return the names of all kinds."""
    return sorted(path.name for path in CORPUS.iterdir() if path.is_dir())
