"""Running: services in a process, processes on a machine, and the servers of a mesh on this machine."""
