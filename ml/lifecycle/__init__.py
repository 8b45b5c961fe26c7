"""The life of a model: learnt, kept, tried, promoted, reviewed, audited; one entry per model says how it stands."""
