"""Greenroom: a self-hosted chat service that speaks Amazon IVS Chat's own protocols.

A map of the package, from the ground up (imports point down only):

- `model`: values and rules: rooms, logging configurations, tokens, messages, quotas, errors.
- `aws`, `protocol`, `tokens`, `rate`: bytes to values and back; no I/O.
- `storage`, `bus`: the ports, with their adapters beside them.
- `chat`, `rooms_cache`: what can happen in a room, for both planes.
- `control`, `messaging`: the HTTP API and the WebSocket API, unaware of each other.
- `server`, `cli`: the composition root and the command.
"""

__version__ = "0.1.0"
