"""`greenroom admin`: a client of the running service, for users, roles, keys and policies."""
