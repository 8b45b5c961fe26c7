"""The page Experiments: what the offers of each journey change, and how sure that is."""
