"""Settings for a demonstration, in which a day takes minutes and one order has to be enough to look like fraud."""

WITHOUT_LIMITS = {"CARTMESH_JOURNEY_QUIET": "", "CARTMESH_JOURNEY_CONTACT_INTERVAL": "0s"}
"""No quiet hours, and no least time between two contacts."""

FLAGGED_ABROAD = {"CARTMESH_FRAUD_COUNTRY_WEIGHT": "100"}
"""A bill that goes to another country than the parcel is enough for an order to be flagged as fraud."""
