"""Benchmarks: the models on public data, one file per job; `cartmesh evaluate` runs them."""


class BadFile(ValueError):
    """A file that a benchmark cannot use; the message says what it should hold."""
