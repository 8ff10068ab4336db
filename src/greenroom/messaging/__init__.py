"""The messaging plane: the IVS Chat Messaging API over WebSocket."""
