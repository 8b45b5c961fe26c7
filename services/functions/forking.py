"""Forking: a Python that knows the events, of which each file's process is a fork that has nothing left to import."""

import gc
import socket
import sys

from mesh import Money
from mesh.runtime.discovery import declare_events
from mesh.runtime.forking import serve
from services.functions import child

if __name__ == "__main__":
    declare_events()
    Money(amount=1, currency="EUR").decimal()  # reads the list of currencies, which the first one to need it waits for
    gc.collect()
    gc.freeze()
    if serve(socket.socket(fileno=int(sys.argv[1]))):
        child.main()
