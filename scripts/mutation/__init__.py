"""Change the code in small ways, one at a time, and look whether a test fails.

Of the libraries for this that are kept (mutmut 3.8, cosmic-ray 8.7, pytest-gremlins 1.12), none
fits: none draws a seeded sample, none removes a statement, which is where many survivors were
found, and none judges by groups of modules. mutmut leaves most decorated functions out and replaces
the others by trampolines; cosmic-ray runs one command for all mutants, in a new interpreter each.
What is left is a page for each part, on Python's own `ast`.
"""
