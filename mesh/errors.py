"""Every error of the mesh, one tree.

    MeshError
    ├── DeclarationError      a service, event or stream is declared wrongly: raised at import or by `check`
    ├── InvalidEvent          bytes or fields that are not the event they claim to be
    │   └── UnknownEvent      an event that this program does not know, or whose handler here does not take it
    ├── InvalidKey            a key that cannot be a subject token
    ├── UnknownName           a channel, purpose or other name that nobody registered: lists those that are
    ├── InvalidField          a field of an event from outside breaks a rule: it is refused
    │   └── SentByBot         an event from outside is a bot's: it is refused, and counted by itself
    ├── TopologyError         mesh.toml is wrong, or the servers do not match it
    ├── Unavailable           JetStream cannot take or give it now: the same call may succeed later
    │   └── NewerVersion      an event of a later version than this program knows: a newer program can read it
    ├── Conflict              something happened meanwhile: read again, decide again
    ├── Duplicate             an atomic batch holds an id that was stored before: nothing was stored now
    ├── Denied                this user may not do that: names the service and the subject
    └── Outcome               what becomes of the message being handled
        ├── Retry(after=...)  deliver it again after that time
        └── Bury(reason)      store it in the dead letters at once

A handler that raises Unavailable is called again until it succeeds. An unknown event is retried while a rollout may be
on, and then becomes a dead letter. After anything else its message is retried with backoff, and becomes a dead letter
when its retries are used up.
"""

from datetime import timedelta


class MeshError(Exception):
    """Root of all errors raised by the mesh."""


class DeclarationError(MeshError):
    """A service, event, stream or bucket is declared wrongly."""


class InvalidEvent(MeshError):
    """Bytes or fields that are not the event they claim to be."""


class UnknownEvent(InvalidEvent):
    """An event that this program does not know, or that its handler does not take: during a rollout a newer one does.

    `type` is its wire type.
    """

    def __init__(self, type: str, reason: str) -> None:
        super().__init__(reason)
        self.type = type


class InvalidKey(MeshError, ValueError):
    """A key that cannot be a subject token."""


class UnknownName(MeshError, ValueError):
    """A name that nobody registered, such as a channel that no service sends by."""


class InvalidField(MeshError, ValueError):
    """A field of an event from outside breaks a rule: where (`path`, as `$.lines[0].price`) and why."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path, self.reason = path, reason


class SentByBot(InvalidField):
    """An event from outside is a bot's and not a shopper's."""


class TopologyError(MeshError):
    """mesh.toml is wrong, or the live servers do not match it."""


class Unavailable(MeshError):
    """JetStream cannot take or give it now; the same call may succeed later."""


class NewerVersion(Unavailable):
    """An event of a later version than this program knows: a newer program reads it, or this one once it is updated."""


class Conflict(MeshError):
    """Something happened meanwhile on a subject that was expected unchanged."""


class Duplicate(MeshError):
    """An atomic batch holds an id that was stored before; nothing was stored now."""


class Denied(MeshError):
    """The connected user lacks a permission."""


class Outcome(MeshError):
    """What becomes of the message being handled."""


class Retry(Outcome):
    """Deliver the message again after `after`; does not count as a failure of the handler's code."""

    def __init__(self, reason: str = "", *, after: timedelta = timedelta(seconds=1)) -> None:
        super().__init__(reason or f"again in {after.total_seconds():g} s")
        self.after = after


class Bury(Outcome):
    """Park the message in the dead letters at once, with `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
