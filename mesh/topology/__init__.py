"""From `mesh.toml` and the declared services to what servers hold: check, derive, render, apply."""
