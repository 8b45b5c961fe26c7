"""Conditions: which carts a journey is for, as a tree of comparisons that is decided alike live and in polars."""
