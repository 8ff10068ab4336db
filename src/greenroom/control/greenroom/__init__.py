"""Greenroom's own API: what its operator does to token keys, the account and sessions."""
