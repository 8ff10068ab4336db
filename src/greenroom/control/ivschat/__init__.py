"""The 17 operations of the ivschat API."""
