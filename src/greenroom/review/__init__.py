"""Message review: what a room's handler says about each message before anybody sees it."""
