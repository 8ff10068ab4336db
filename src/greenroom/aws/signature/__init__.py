"""SigV4 as AWS verifies it: what was signed, by which key, and whether it was this request."""
