"""Address target: functions that run elsewhere, such as at a FaaS, and get each event as a CloudEvent by HTTPS.

A `.toml` file has a table for each:

    [label_parcels]
    on = ["order.placed.v1"]
    address = "https://functions.example/label"
    filter = [{ prefix = { subject = "DE-" } }]
    headers = { Authorization = "Bearer ..." }

It is posted in binary mode, with what webhooks may send to partners (`mesh.partner_events`) and nothing more. A status
of 2xx is success; 429 and 503 with Retry-After are obeyed; after anything else it is sent again, with the same `ce-id`.
"""

import hashlib
import re
import ssl
import tomllib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mesh import Received, Retry
from mesh.function import RETRIES
from mesh.partner_events import binary, body, http_headers, types
from mesh.settings import duration
from mesh.web.checked_network import CheckedNetwork
from mesh.web.endpoint_client import EndpointClient
from services.functions.frames import Declared
from services.functions.function_settings import FunctionSettings
from services.functions.target import Called, FunctionFailed, Refused

ASKING_FOR_TIME = (429, 503)
LONGEST_PAUSE = timedelta(hours=1)
OURS = ("content-length", "content-type", "host", "transfer-encoding", "user-agent")
"""Headers that a file cannot set."""
CONNECT = timedelta(seconds=5)
_is_name = re.compile(r"[a-z][a-z0-9_]{0,59}", re.ASCII).fullmatch
_is_header = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII).fullmatch


class AddressForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table. `on` are wire types that may leave the mesh; `headers` are sent each time and shown nowhere."""

    on: tuple[str, ...]
    address: str
    filter: tuple[dict[str, Any], ...] = ()
    headers: dict[str, str] = {}
    retries: int = RETRIES
    deadline: str | None = None


class AddressTarget:
    """One version of one file of addresses. Make one with `load`."""

    def __init__(self, settings: FunctionSettings, network: CheckedNetwork, tls: ssl.SSLContext, text: str) -> None:
        self._settings, self._network, self._tls, self._text = settings, network, tls, text
        self.version = hashlib.sha256(text.encode()).hexdigest()[:8]
        self.declared: tuple[Declared, ...] = ()
        self.started = 0.0
        self._forms: dict[str, AddressForm] = {}
        self._clients: dict[str, EndpointClient] = {}

    async def load(self) -> None:
        """Read the file. Raises Refused."""
        try:
            self._forms = msgspec.convert(tomllib.loads(self._text), dict[str, AddressForm])
        except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise Refused(str(error)) from None
        if not self._forms:
            raise Refused("there is no table: write [name_of_function], on and address")
        self.declared = tuple(self._declared(name, form) for name, form in self._forms.items())
        for one in self.declared:
            within = timedelta(seconds=one.deadline or self._settings.functions_deadline.total_seconds())
            self._clients[one.name] = EndpointClient(self._network, self._tls, connect=CONNECT, deadline=within)

    async def call(self, declared: Declared, received: Received) -> Called:
        """Post the event."""
        form = self._forms[declared.name]
        attributes, media_type, content = binary(body(received))
        described = {**http_headers(attributes), "Content-Type": media_type}
        headers = {**described, "User-Agent": "Cartmesh-Functions/1", **form.headers}
        response = await self._clients[declared.name].send(form.address, headers, content)
        output = f"{response.status} {response.answer}" if response.status is not None else ""
        if response.error is None:
            return Called(output=output)
        if response.status in ASKING_FOR_TIME and response.retry_after is not None:
            after = min(max(response.retry_after - datetime.now(UTC), timedelta(0)), LONGEST_PAUSE)
            return Called(error=Retry(response.error, after=after), output=output)
        return Called(error=FunctionFailed(response.error), output=output)

    async def close(self) -> None:
        """Close its connections."""
        for client in self._clients.values():
            await client.close()

    def _declared(self, name: str, form: AddressForm) -> Declared:
        if not _is_name(name):
            raise Refused(f"[{name}]: a function's name is at most 60 of a-z, 0-9 and _")
        private = self._settings.functions_private_addresses
        parts = urlsplit(form.address)
        if (parts.scheme != "https" and not (private and parts.scheme == "http")) or not parts.hostname:
            raise Refused(f"[{name}]: address: write one that begins with https://")
        if form.retries < 1:
            raise Refused(f"[{name}]: retries is how often it is called at most: 1 or more")
        for header, value in form.headers.items():
            own = header.lower() in OURS or header.lower().startswith("ce-")
            if own or not _is_header(header) or not value.isascii() or not value.isprintable():
                raise Refused(f"[{name}]: headers: {header!r} cannot be sent")
        unknown = ", ".join(one for one in form.on if one not in types())
        if unknown or not form.on:
            known = ", ".join(types())
            raise Refused(f"[{name}]: on: {unknown or 'nothing'} does not leave the mesh; there are {known}")
        try:
            deadline = duration(form.deadline).total_seconds() if form.deadline else None
        except ValueError as error:
            raise Refused(f"[{name}]: deadline: {error}") from None
        return Declared(
            name=name,
            types=form.on,
            filters=msgspec.json.encode(form.filter),
            retries=form.retries,
            deadline=deadline,
            summary=f"Posts to {parts.hostname}",
        )
