"""The render worker: a child process with limits that renders templates for its parent, one after another.

Run as `python -m notifications.render_worker CPU_SECONDS MEMORY_BYTES`. Messages on stdin and stdout are
JSON behind a 4-byte length. A job that computes too long is interrupted where it is, so that the error
can name the template's line; what cannot be interrupted is killed by the kernel (RLIMIT_CPU).
"""

import gc
import math
import resource
import signal
import struct
import sys
from typing import Any, BinaryIO, NoReturn

import msgspec

HARD = 2
"""Seconds of CPU behind the interruption, after which the kernel kills."""
COMPILED = 64
"""How many templates are kept compiled."""


def main(cpu_seconds: float, memory: int, into: BinaryIO, out: BinaryIO) -> None:
    """Serve jobs `{"name", "digest", "locale", "data"}` until stdin ends.

    Where the template of a digest is not known, the answer is `{"unknown": true}`, and the same job is to be sent again
    with its `template`.
    """
    from cachetools import LRUCache  # noqa: PLC0415  loaded before memory is limited, as all of these

    from notifications.template_renderer import TemplateRenderer  # noqa: PLC0415
    from notifications.templates.folder import read_folder  # noqa: PLC0415  only a worker that starts reads it
    from notifications.templates.render_error import RenderError  # noqa: PLC0415
    from notifications.templates.template import Template, digest_of, template_of  # noqa: PLC0415

    renderers: LRUCache[str, TemplateRenderer] = LRUCache(COMPILED)
    for name, files in read_folder("").items():
        shipped = template_of(name, files)
        renderers[digest_of(shipped)] = made = TemplateRenderer(shipped)
        made.warm()
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _interrupt)
    _write(out, {"ready": True})
    while (job := _read(into)) is not None:
        if "template" in job:
            renderers[job["digest"]] = TemplateRenderer(msgspec.convert(job["template"], Template))
        elif job["digest"] not in renderers:
            _write(out, {"unknown": True})
            continue
        _allow_cpu(cpu_seconds)
        try:
            try:
                answer: dict[str, Any] = {"mail": renderers[job["digest"]].render(job["locale"], job["data"])}
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
        except RenderError as refused:
            answer = {"where": refused.where, "why": str(refused), "costly": refused.costly}
        except Exception as error:  # noqa: BLE001  whatever a template did, the parent must get an answer
            answer = {"where": job["name"], "why": f"{type(error).__name__}: {error}"}
        if "why" in answer:
            gc.collect()
        _write(out, answer)


def _allow_cpu(seconds: float) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(used.ru_utime + used.ru_stime + seconds) + HARD
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _interrupt(*_: object) -> NoReturn:
    raise TimeoutError


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(4)
    return msgspec.json.decode(stream.read(struct.unpack(">I", head)[0])) if len(head) == 4 else None


def _write(stream: BinaryIO, answer: dict[str, Any]) -> None:
    body = msgspec.json.encode(answer)
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), sys.stdin.buffer, sys.stdout.buffer)
