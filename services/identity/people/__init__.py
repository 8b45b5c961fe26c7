"""The page People: whom a visitor, customer or address belongs to, what they allowed, and their erasure."""
