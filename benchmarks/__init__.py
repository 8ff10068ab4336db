"""The published measurements: each table of README.md is one module here and one command."""
