"""`greenroom doctor` and `greenroom health`: what is wrong, and what to do about it."""
