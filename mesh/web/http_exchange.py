"""HTTP exchange: one request and the beginning of its response over a connection that may be kept, by HTTP/1.1.

As little of RFC 9112 as an attempt to deliver needs, for each costs the processor: heads and bodies are bounded, and
what is not understood ends the connection. Errors are those of httpcore, whose network makes the connection.
"""

import re
from collections.abc import Iterable

import httpcore
import msgspec

MOST_HEAD = 64 * 1024
_PART = 64 * 1024
_INTERIM, _SWITCHED = range(100, 200), 101
_WITHOUT_BODY = (204, 304)
_status = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [^\r\n]*)?").fullmatch
_end_of_head = re.compile(rb"\r?\n\r?\n").search
_line = re.compile(rb"([^\r\n]*)\r?\n").match
_size = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?").fullmatch
_is_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII).fullmatch
_is_value = re.compile(r"[\t\x20-\x7e\x80-\xff]*").fullmatch
_is_target = re.compile(rb"[\x21-\x7e]+").fullmatch


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The status and the fields of a response, their names in lower case. `closes`: the connection ends behind it."""

    status: int
    fields: dict[bytes, bytes]
    closes: bool


def request_head(target: bytes, fields: Iterable[tuple[str, str]]) -> bytes:
    """The head of a POST. Raises httpcore.LocalProtocolError for a field or an address that would be several lines."""
    if not _is_target(target):
        raise httpcore.LocalProtocolError("the address has characters that no request may have")
    made = [b"POST ", target, b" HTTP/1.1\r\n"]
    for name, value in fields:
        if not _is_name(name) or not _is_value(value):
            raise httpcore.LocalProtocolError(f"{name[:60]!a} is no header, or its value is none")
        made.append(f"{name}: {value}\r\n".encode("latin-1"))
    made.append(b"\r\n")
    return b"".join(made)


class HttpConnection:
    """A connection to one origin, for one exchange after the other. Raises httpcore's errors."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._read = b""
        self._head = Head(status=0, fields={}, closes=True)
        self._is_done = True

    @property
    def may_be_kept(self) -> bool:
        """Whether the response was read to its end, and another request may follow."""
        return self._is_done and not self._head.closes and not self._read

    @property
    def is_open(self) -> bool:
        """Whether the other side has neither closed it nor sent anything unasked."""
        return not self._stream.get_extra_info("is_readable")

    async def post(self, head: bytes, body: bytes) -> Head:
        """Send a request: the head of its response, behind interim ones."""
        self._is_done = False
        await self._stream.write(head + body)
        while True:
            found = await self._response_head()
            if found.status not in _INTERIM:
                self._head = found
                return found
            if found.status == _SWITCHED:
                raise httpcore.RemoteProtocolError("it answered 101, to another protocol than HTTP")

    async def body(self, into: bytearray, most: int) -> None:
        """Add the first `most` bytes of the response's body; what was read is there also if that is cancelled."""
        fields = self._head.fields
        if self._head.status in _WITHOUT_BODY:
            self._is_done = True
        elif b"transfer-encoding" in fields:
            if fields[b"transfer-encoding"].lower() != b"chunked":
                raise httpcore.RemoteProtocolError("its answer has a Transfer-Encoding that is not chunked")
            self._is_done = await self._chunks(into, most)
        elif b"content-length" in fields:
            lengths = {one.strip() for one in fields[b"content-length"].split(b",")}
            length = lengths.pop() if len(lengths) == 1 else b""
            if not length.isdigit() or len(length) > 18:
                raise httpcore.RemoteProtocolError("the Content-Length of its answer is no number")
            self._is_done = await self._exactly(int(length), into, most)
        else:
            await self._exactly(most, into, most)  # until it closes, and so never to be kept

    async def close(self) -> None:
        """Close it, whatever is under way."""
        await self._stream.aclose()

    async def _response_head(self) -> Head:
        seen = 0
        while (end := _end_of_head(self._read, max(0, seen - 3))) is None:
            if (seen := len(self._read)) > MOST_HEAD:
                raise httpcore.RemoteProtocolError("the head of its answer is too long")
            await self._more("Server disconnected without sending a response.")
        lines, self._read = self._read[: end.start()].splitlines(), self._read[end.end() :]
        first = _status(lines[0]) if lines else None
        if first is None:
            raise httpcore.RemoteProtocolError("it did not answer by HTTP")
        fields = _fields(lines[1:])
        options = {one.strip().lower() for one in fields.get(b"connection", b"").split(b",")}
        closes = b"close" in options or (first[1] == b"0" and b"keep-alive" not in options)
        return Head(status=int(first[2]), fields=fields, closes=closes)

    async def _exactly(self, length: int, into: bytearray, most: int) -> bool:
        """Add so many bytes; False where there are more than are wanted."""
        while length:
            if len(into) >= most:
                return False
            if not self._read:
                await self._more("it closed the connection within its answer")
            part, self._read = self._read[:length], self._read[length:]
            into += part[: most - len(into)]
            length -= len(part)
        return True

    async def _chunks(self, into: bytearray, most: int) -> bool:
        """Add what is in chunks; False where there is more than is wanted."""
        while True:
            size = _size(await self._next_line())
            if size is None:
                raise httpcore.RemoteProtocolError("its answer is not chunked as it says")
            length = int(size[1], 16)
            if not length:
                break
            if not await self._exactly(length, into, most):
                return False
            if await self._next_line():
                raise httpcore.RemoteProtocolError("its answer is not chunked as it says")
        while await self._next_line():
            pass  # trailers
        return True

    async def _next_line(self) -> bytes:
        while (found := _line(self._read)) is None:
            if len(self._read) > MOST_HEAD:
                raise httpcore.RemoteProtocolError("a line of its answer is too long")
            await self._more("it closed the connection within its answer")
        self._read = self._read[found.end() :]
        return found[1]

    async def _more(self, ended: str) -> None:
        part = await self._stream.read(_PART)
        if not part:
            raise httpcore.RemoteProtocolError(ended)
        self._read += part


def _fields(lines: list[bytes]) -> dict[bytes, bytes]:
    """Fields by name; the values of one that comes twice are joined, as RFC 9110 (5.3) has them."""
    made: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise httpcore.RemoteProtocolError("the head of its answer has a line that is no header")
        name = name.lower()
        made[name] = made[name] + b", " + value.strip() if name in made else value.strip()
    return made
