"""Decision pages: the numbers of each journey, the newest decisions, and why each was made."""
