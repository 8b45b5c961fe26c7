"""Triggers: finding what starts a journey besides a cart that was just left, by reading the log now and then.

Nothing is kept for each shopper, cart or product. While a journey with such a trigger is on, each region looks at what
its log has got since the last look, and stores what was found in one commit with how far it has looked.
"""
