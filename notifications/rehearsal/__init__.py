"""Rehearsal: what a journey that is not published yet would have done with the carts of the last days.

Past carts are decided again by the same functions as live ones (`step_decision`), with what was known of them then,
which their first decision recorded. What the journey's own offers would have changed, how often a shopper was
contacted, is followed; what they would have changed about purchases cannot be known, so nobody buys because of them.
Neither budgets nor code lists are touched, so none runs out. Languages are not recorded: an audience that asks for one
is not met.
"""
