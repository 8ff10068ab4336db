"""Rooms and control over NATS: JetStream puts each room in one order."""
