"""Operating a mesh: the live board, measurements, heartbeats."""
