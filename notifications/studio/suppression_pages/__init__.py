"""Suppression pages: how many addresses nothing is written to, and why; one of them; lists in and out."""
