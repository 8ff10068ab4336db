"""What the service does without: its log library imports rich where a tool of the tests brought it.

Nothing is shown by it, and it is a quarter of a start.
"""

raise ImportError("no dependency of the service")
