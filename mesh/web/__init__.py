"""What every HTTP service shares: problem details, health, security headers, static files, event streams."""
