"""Values and rules of the service: frozen, without I/O, shared by everything above."""
