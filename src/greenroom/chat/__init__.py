"""What can happen in a room, for both planes: rules, rates and limits. Knows ports only."""
