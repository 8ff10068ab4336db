"""Ports for what happens in rooms and to what is cached of them; their adapters."""
