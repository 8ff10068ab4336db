"""Who did what, and who was refused what: one line each, bounded and rotated."""
