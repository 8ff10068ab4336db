"""Greenroom: a self-hosted chat service that speaks Amazon IVS Chat's own protocols.

Each package says in its `__init__.py` what it is for. Which may import which is a contract in
`pyproject.toml`; docs/explanation/architecture.md shows both as a picture and a table, and
docs/explanation/tour.md follows a request through them.
"""

__version__ = "0.2.0"
