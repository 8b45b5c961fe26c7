"""Confinement: what a process of functions may use, so that a mistake in it stays there.

Bounds of the kernel (setrlimit), and on Linux a seccomp filter without which a function could start processes that
outlive it, or stop others. It keeps mistakes in, and is no wall against somebody who means harm: a function may read
what its user may read, and connect to what its network reaches.
"""

import ctypes
import os
import platform
import resource
import struct
import sys
from pathlib import Path

OPEN_FILES, LONGEST_FILE = 128, 64 << 20
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER = 4, 22, 38, 2
_LOAD, _EQUAL, _AT_LEAST, _AND, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_NUMBER, _ARCHITECTURE, _FIRST = 0, 4, 16
"""Places in `struct seccomp_data`: the call's number, the architecture, the low half of its first argument."""
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000
_CALLS: dict[str, tuple[int, dict[str, tuple[int, ...]]]] = {
    "x86_64": (0xC000003E, {"clone": (56,), "clone3": (435,), "kill": (62,), "refused": (57, 58, 101, 310, 311)}),
    "aarch64": (0xC00000B7, {"clone": (220,), "clone3": (435,), "kill": (129,), "refused": (117, 270, 271)}),
}
"""Machine -> its audit number, and the numbers of what is looked at: `refused` are fork, vfork, ptrace, and reading and
writing other processes' memory."""


def confine(*, memory: int) -> None:
    """Bound this process: `memory` bytes of address space beyond what it has, files, and no processes of its own."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) if sys.platform == "linux" else 0
    most = pages * resource.getpagesize() + memory
    _bound(resource.RLIMIT_AS, most)
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_NOFILE, OPEN_FILES)
    _bound(resource.RLIMIT_FSIZE, LONGEST_FILE)
    if sys.platform == "linux" and platform.machine() in _CALLS:
        _refuse_processes(platform.machine())


def bound_cpu(seconds: float) -> None:
    """Let the kernel end this process (SIGXCPU) after so many more seconds of CPU, rounded up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def hide_environment() -> None:
    """Keep other processes of the same user from reading this one's memory, and with it its environment."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _bound(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (bound, bound))


def _refuse_processes(machine: str) -> None:
    """Threads are allowed, processes are not; no signal but to itself. See seccomp(2), and linux/filter.h."""
    architecture, calls = _CALLS[machine]
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_ANSWER, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        (_ANSWER, 0, 0, _REFUSE | _EPERM),
        *(one for number in calls["refused"] for one in ((_EQUAL, 0, 1, number), (_ANSWER, 0, 0, _REFUSE | _EPERM))),
        (_EQUAL, 0, 1, *calls["clone3"]),  # its arguments cannot be seen here: the C library then calls clone
        (_ANSWER, 0, 0, _REFUSE | _ENOSYS),
        (_EQUAL, 0, 4, *calls["clone"]),
        (_LOAD, 0, 0, _FIRST),
        (_AND, 1, 0, _CLONE_THREAD),
        (_ANSWER, 0, 0, _REFUSE | _EPERM),
        (_ANSWER, 0, 0, _ALLOW),
        (_EQUAL, 0, 3, *calls["kill"]),
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 1, 0, os.getpid()),
        (_ANSWER, 0, 0, _REFUSE | _EPERM),
        (_ANSWER, 0, 0, _ALLOW),
    ]
    packed = b"".join(struct.pack("HBBI", *one) for one in program)
    code = ctypes.create_string_buffer(packed, len(packed))
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.prctl(_PR_SET_SECCOMP, _FILTER, ctypes.byref(filter_), 0, 0):
        sys.stderr.write(f"WARNING no seccomp filter: {os.strerror(ctypes.get_errno())}\n")
