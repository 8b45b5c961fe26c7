"""A plausible shop's log, made from a seed."""
