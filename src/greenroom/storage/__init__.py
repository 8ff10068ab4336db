"""The durable store: a port for each noun, and its adapters: SQLite, PostgreSQL, memory."""
