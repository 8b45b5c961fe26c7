"""A payment provider to try payments with: a process with books of its own, and with every fault on demand."""
