"""`greenroom migrate`."""
