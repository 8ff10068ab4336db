"""Several processes on one machine that serve behind one port, and who looks after them."""
