"""Training: from the log to a version of a model, judged; one recipe per model."""
