"""The demo: an afternoon on three regions that tries every promise."""
