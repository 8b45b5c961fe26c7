"""What an operator asks of a running mesh: status, traces, dead letters, probes, rebuilds."""
