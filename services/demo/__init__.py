"""Only for trying the mesh: a demo shop, simulated and replayed shoppers, the demo, benchmarks."""
