"""A connection from its accept to an API request or an upgrade; TLS, health and figures."""
