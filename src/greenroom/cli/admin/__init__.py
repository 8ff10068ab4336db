"""`greenroom admin`: users, roles, keys and policies from the command line."""
