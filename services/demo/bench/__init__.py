"""Benchmarks: rates, latencies, costs and memory of a mesh on this machine, beside the machine's own ceiling."""
