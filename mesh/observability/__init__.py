"""What a running process reports: logs, metrics, spans and their export."""
