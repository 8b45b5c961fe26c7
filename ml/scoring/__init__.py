"""Scoring: how likely each shopper buys, said as it happens; the service and what it keeps in memory."""
