"""Where several nodes were asked for, each service of these tests is as many."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def over_nodes(many_nodes: None) -> None:
    """Have `running` run as many nodes as were asked for."""
