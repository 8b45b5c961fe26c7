"""Answers servers of other regions that copy this region's streams and ask to be delivered something again."""

from mesh import Service

service = Service("copies", resets_copies=True)
