"""TLS of this process: connections that are encrypted here, and what they share."""
