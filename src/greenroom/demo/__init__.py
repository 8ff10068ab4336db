"""A page to try the service with, for browsers on this machine: `greenroom serve --demo`."""
