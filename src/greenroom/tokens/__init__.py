"""Sealed values that travel: chat tokens and session tokens. Pure."""
