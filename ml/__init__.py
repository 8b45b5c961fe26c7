"""Models: what a shopper is likely to do, what they would like next, and how that is learnt from the log."""
