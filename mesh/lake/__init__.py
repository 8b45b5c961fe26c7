"""The lake: the events of a region's streams as Delta Lake tables, in a folder or an object store."""
