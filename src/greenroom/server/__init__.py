"""The composition root: open, build, serve, drain, close."""
