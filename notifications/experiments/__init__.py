"""Experiments: what offers change, measured against the shoppers whom chance gave none."""
