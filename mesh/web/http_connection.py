"""HTTP connection: one request after the other over HTTP/1.1 (RFC 9112). Responses are read by httptools (llhttp)."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import httpcore
import httptools

MOST_HEAD = 64 * 1024
"""The most bytes of a response's head."""
_PART = 64 * 1024
_INTERIM, _SWITCHED = range(100, 200), 101
_is_method = re.compile(r"[A-Z]+").fullmatch
_is_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII).fullmatch
_is_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
_is_target = re.compile(r"[\x21-\x7e]+").fullmatch


class CallFailed(Exception):
    """There is no response, or none that can be understood: whether the request was obeyed is not known."""


class Head(NamedTuple):
    """The status of a response and its headers, their names in lower case; those that come twice are joined."""

    status: int
    headers: Mapping[str, str]


def request_head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """The head of a request. ValueError for a target with a blank, or a header that would be several lines."""
    if not _is_method(method) or not _is_target(target):
        raise ValueError("the address has a blank, or characters that no request may have")
    made = [f"{method} {target} HTTP/1.1\r\n"]
    for name, value in headers:
        if not _is_name(name) or not _is_value(value):
            raise ValueError(f"{name[:60]!a} is no header, or its value has a line break or signs beyond Latin 1")
        made.append(f"{name}: {value}\r\n")
    made.append("\r\n")
    return "".join(made).encode("latin-1")


class _Answer:
    """A response as httptools reads it."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.head: Head | None = None
        self.wrong = ""
        self.is_whole = self.is_followed = self.may_be_kept = False

    def on_message_begin(self) -> None:
        self.is_followed = self.is_whole

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status not in _INTERIM and not self.is_followed:
            self.head = Head(status, self.headers)
        elif status != _SWITCHED:
            self.headers = {}  # 100 Continue, 103 Early Hints

    def on_body(self, part: bytes) -> None:
        if not self.is_followed:
            self.body += part

    def on_message_complete(self) -> None:
        if self.head is not None and not self.is_whole:
            self.is_whole, self.may_be_kept = True, self.parser.should_keep_alive()

    @property
    def ends_with_connection(self) -> bool:
        """Whether its end is that of the connection."""
        coded = self.headers.get("transfer-encoding", "").lower().endswith("chunked")
        return self.head is not None and "content-length" not in self.headers and not coded

    def feed(self, part: bytes) -> None:
        """Read on. What cannot be read is `wrong`, but behind a whole response, where it only ends the connection."""
        try:
            self.parser.feed_data(part)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.is_followed = self.is_whole
            if self.head is None and self.parser.get_status_code() == _SWITCHED:
                self.wrong = "it answered 101, to another protocol than HTTP"
            elif not self.is_whole:
                self.wrong = f"it did not answer by HTTP/1.1: {error}"


class HttpConnection:
    """A connection to one origin. Whatever goes wrong raises CallFailed, and it may not be kept then."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._answer = _Answer()

    @property
    def may_be_kept(self) -> bool:
        """Whether the response was read to its end, and another request may follow."""
        return self._answer.is_whole and self._answer.may_be_kept and not self._answer.is_followed

    @property
    def is_open(self) -> bool:
        """Whether the other side has neither closed it nor sent anything unasked."""
        return not self._stream.get_extra_info("is_readable")

    async def ask(self, request: bytes, *, has_body: bool = True) -> Head:
        """Send a request: the head of its response, behind interim ones. `has_body` is False for HEAD."""
        answer = self._answer = _Answer()
        try:
            await self._stream.write(request)
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise CallFailed(str(error) or "the connection was closed") from error
        read = 0
        while answer.head is None:
            if read > MOST_HEAD:
                raise CallFailed(f"the head of its answer is too long: more than {MOST_HEAD:,} bytes")
            read += await self._more()
            if answer.wrong and answer.head is None:
                raise CallFailed(answer.wrong)
        if not has_body and not answer.is_whole:
            answer.is_whole = True  # what its length says is not sent
        return answer.head

    async def body(self, most: int) -> bytes:
        """At most the first `most` bytes of the response's body."""
        answer = self._answer
        while not answer.is_whole and len(answer.body) < most:
            if answer.wrong:
                raise CallFailed(answer.wrong)
            await self._more()
        return bytes(answer.body[:most])

    @property
    def body_so_far(self) -> bytes:
        """What was read of the body."""
        return bytes(self._answer.body)

    async def close(self) -> None:
        """Close it, whatever is under way."""
        await self._stream.aclose()

    async def _more(self) -> int:
        try:
            part = await self._stream.read(_PART)
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise CallFailed(str(error) or "the connection was closed") from error
        if part:
            self._answer.feed(part)
        elif self._answer.ends_with_connection:
            self._answer.is_whole = True
        elif self._answer.head is None:
            raise CallFailed("the server disconnected without an answer")
        else:
            raise CallFailed("the server disconnected before its answer was whole")
        return len(part)
