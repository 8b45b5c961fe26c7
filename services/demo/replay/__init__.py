"""Replay a shop's log through the gateways and report what became of every event."""
