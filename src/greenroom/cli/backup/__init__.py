"""`greenroom backup` and `greenroom restore`: a data directory, copied while it is used."""
