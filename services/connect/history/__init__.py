"""History: what a shop exports of its past, row by row, sent to the gateway once."""
