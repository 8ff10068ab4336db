"""The way between nodes: what one node publishes, every node's hub receives."""
