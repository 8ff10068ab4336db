"""The IVS Chat Messaging API on the wire: frames, actions, events, errors; bytes and values only.

- `handshake`: the upgrade request to a token, and the two answers to it.
- `frames`: RFC 6455 frames of a server, both ways.
- `actions`: what clients send. `events`: what they receive. `errors`: codes of both planes' edges.
- `session`: one connection as a state machine.
"""
