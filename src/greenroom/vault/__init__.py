"""The service's own secrets at rest, and the keys that chat tokens are sealed with."""
