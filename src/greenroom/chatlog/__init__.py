"""Chat logging: what clients receive in rooms with logging configurations, on record."""
