"""The clickstream: what shoppers did, from the mesh or from a file, as steps in time order and as tables."""
