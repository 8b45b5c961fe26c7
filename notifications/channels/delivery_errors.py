"""Outcome: what became of a message that was not accepted for certain."""


class Undelivered(Exception):
    """The server did not take the message, for certain. `again`: it may later."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


class Unknown(Exception):
    """The connection was lost after the message was handed over and before the server's answer."""
