"""Commands of the models."""
