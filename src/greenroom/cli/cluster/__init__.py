"""`greenroom cluster`: what nodes, NATS and PostgreSQL are together, and putting it right."""
