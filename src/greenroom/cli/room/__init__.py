"""What people do in rooms from the command line: a client of the two public APIs."""
