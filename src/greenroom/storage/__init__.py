"""The durable store of rooms, logging configurations, redeemed tokens and secrets."""
