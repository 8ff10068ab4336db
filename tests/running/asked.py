"""What a run of the suites was asked for by its environment; `CONTRIBUTING.md` says how.

Tests that cannot be run so are left out, and say why.
"""

import os

NODES = int(os.environ.get("CLUSTER_NODES", "1"))
"""How many nodes behind one port the tests of `e2e` and `interop` speak to."""

PROCESSES = int(os.environ.get("CLUSTER_PROCESSES", "1"))
"""How many processes each of those nodes has."""

TOGETHER = NODES * PROCESSES > 1
"""Whether what the tests take for one process is several, on PostgreSQL and NATS."""

OVER_TLS = os.environ.get("OVER_TLS") == "1"
"""Whether services have a certificate, and clients come by https and wss."""
