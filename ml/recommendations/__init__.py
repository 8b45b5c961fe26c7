"""Recommendations: the index over the newest sessions, the catalogue, and which products are shown."""
