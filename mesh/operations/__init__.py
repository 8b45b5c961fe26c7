"""What an operator does with a running mesh: status, traces, dead letters, probes, rebuilds."""
