"""Rehearsal: a shop played through the mesh, and a report that counts what became of every event."""
