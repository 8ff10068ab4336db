"""Composition root, the only place that knows every adapter: open, build, serve, drain, close."""
