"""What a misspelt name may have been meant for."""

from greenroom.settings.alike import alike


def test_the_nearest_name() -> None:
    """The known name that looks most like it is named, whatever its case; none where none does."""
    known = ("port", "host", "region", "regions")
    assert [alike(name, known) for name in ("prot", "PORT_", "regons", "xyz", "")] == [
        "port",
        "port",
        "regions",
        None,
        None,
    ]
