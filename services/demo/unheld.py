"""Settings for a demonstration, in which a day takes minutes: no offer waits for the morning or for the next day."""

UNHELD = {"CARTMESH_JOURNEY_QUIET": "", "CARTMESH_JOURNEY_CONTACT_INTERVAL": "0s"}
"""No quiet hours, and no least time between two contacts."""
