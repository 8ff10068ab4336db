"""AWS's own services: botocore's clients in threads, and what the environment says of them."""
