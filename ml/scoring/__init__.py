"""Scoring: how likely each shopper buys, published as it happens; the service and what it keeps in memory."""
