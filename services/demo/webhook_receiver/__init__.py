"""A partner to look at: takes webhooks and shows what came, for a mesh on one machine."""
