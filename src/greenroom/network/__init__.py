"""What is known of a peer before its first word: addresses, proxies, origins, visitors. Pure."""
