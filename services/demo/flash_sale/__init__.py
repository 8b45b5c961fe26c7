"""A flash sale: buyers order over HTTP while things are killed or cut, and a ledger says what became of each order."""
