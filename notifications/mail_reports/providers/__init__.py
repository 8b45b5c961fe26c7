"""Providers: what mail providers report by webhooks: each proves itself in its own way, and has its own words."""
