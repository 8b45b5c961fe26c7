"""Offers: decided, rendered, sent, and unsubscribed from. Knows `mesh` and nobody else."""
