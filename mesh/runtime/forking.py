"""Forking: a Python that has imported what processes need forks one for each request.

`mesh.runtime.fork_server` starts it and speaks with it. It has one thread and no event loop, so that a fork is whole.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector

import msgspec

from mesh.runtime.fork_server import LONGEST, Ended, Fork, Forked, Signal
from mesh.runtime.process import end_with_parent

_decode: Callable[[bytes], Fork | Signal] = msgspec.json.Decoder(Fork | Signal).decode


def serve(channel: socket.socket) -> Fork | None:
    """Fork what is asked for until the other end closes `channel`: None. In each fork: what that is to run."""
    running: set[int] = set()
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler nothing is woken
    with channel, woken, wakes, DefaultSelector() as selector:
        selector.register(channel, EVENT_READ)
        selector.register(woken, EVENT_READ)
        while True:
            ready = [key.fileobj for key, _ in selector.select()]
            if woken in ready:
                woken.recv(LONGEST)
                _report_ended(channel, running)
            if channel not in ready:
                continue
            body, descriptors, _, _ = socket.recv_fds(channel, LONGEST, 2)
            if not body:
                return None
            asked = _decode(body)
            if isinstance(asked, Signal):
                if asked.pid in running:
                    os.kill(asked.pid, asked.number)
                continue
            server, pid = os.getpid(), os.fork()
            if pid == 0:
                _become(asked, descriptors, server)
                return asked
            running.add(pid)
            _answer(channel, Forked(number=asked.number, pid=pid))
            for descriptor in descriptors:
                os.close(descriptor)


def _answer(channel: socket.socket, answer: Forked | Ended) -> None:
    with suppress(ConnectionError):  # whoever asked has gone, which ends this server too
        channel.send(msgspec.json.encode(answer))


def _report_ended(channel: socket.socket, running: set[int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        running.discard(pid)
        _answer(channel, Ended(pid=pid, status=os.waitstatus_to_exitcode(status)))


def _become(asked: Fork, descriptors: list[int], server: int) -> None:
    """Make of a fork what a process that was started for these arguments would be."""
    end_with_parent()
    if os.getppid() != server:
        os._exit(1)  # the server ended before the kernel knew of the fork
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor, own in zip(descriptors, (1, 2), strict=True):
        os.dup2(descriptor, own)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(asked.environment)
    time.tzset()
    sys.argv = ["cartmesh", *asked.arguments]
