"""Start the servers that a cluster runs on, from PyPI's wheels: for tests and for trials."""
