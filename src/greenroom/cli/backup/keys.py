"""Whether the master key at hand is the one that sealed a store's secrets."""

from pathlib import Path

from greenroom.settings.values import Settings
from greenroom.storage.sqlite import copy
from greenroom.vault.vault import CHECK, is_at_hand, sealer_of


def check_key(settings: Settings, database: Path) -> None:
    """See that the key, if one is at hand, opens what the database keeps.

    Raises:
        SecretsKeyRefused: it does not, or is malformed.
    """
    kept = copy.kept_secret(database, CHECK)
    if kept is not None and is_at_hand(settings):
        sealer_of(settings, kept)
