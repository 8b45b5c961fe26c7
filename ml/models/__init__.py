"""Estimators, one per file; what serves needs numpy only."""
