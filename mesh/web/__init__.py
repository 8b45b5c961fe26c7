"""What every HTTP service shares: problem details, health, metrics, headers."""
