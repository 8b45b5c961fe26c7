"""Public DNS: what it says now under a name, asked without keeping anybody waiting for long."""

import asyncio
from urllib.parse import urlsplit

import msgspec
from dns.asyncresolver import Resolver
from dns.exception import DNSException, Timeout
from dns.name import from_text
from dns.resolver import NXDOMAIN, NoAnswer

from mesh.errors import DeclarationError

PATIENCE = 2.5
"""Seconds until a name server that does not answer is given up."""
PORT, PAYLOAD = 53, 1232
"""The usual port, and how large an answer by UDP may be; larger ones are asked for by TCP."""


class DnsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`dns_server`: the name server that is asked, `9.9.9.9` or `127.0.0.1:5353`; empty: the one of the machine."""

    dns_server: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The texts (TXT) under a name; none where there are none. `trouble` is why it could not be asked."""

    name: str
    texts: tuple[str, ...] = ()
    trouble: str = ""


class PublicDns:
    """Asks the name server that is set. Raises DeclarationError where that is no address."""

    def __init__(self, settings: DnsSettings) -> None:
        self._server = _address(settings.dns_server) if settings.dns_server else None

    async def ask(self, name: str) -> Answer:
        """What DNS says now, without any cache of ours; what goes wrong is in the answer."""
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._resolver().resolve(
                    from_text(name), "TXT", lifetime=PATIENCE, search=False, raise_on_no_answer=True
                )
        except (NXDOMAIN, NoAnswer):
            return Answer(name=name)
        except (Timeout, TimeoutError):
            return Answer(name=name, trouble=f"no name server answered within {PATIENCE} seconds")
        except (DNSException, OSError, UnicodeError):
            return Answer(name=name, trouble="the name server gave no answer that can be used")
        texts = tuple(b"".join(one.strings).decode("utf-8", "replace") for one in found)
        return Answer(name=name, texts=texts)

    async def ask_all(self, names: list[str]) -> dict[str, Answer]:
        """What DNS says under several names, asked at the same time."""
        return {one.name: one for one in await asyncio.gather(*map(self.ask, names))}

    def _resolver(self) -> Resolver:
        resolver = Resolver(configure=self._server is None)
        if self._server is not None:
            host, port = self._server
            resolver.nameservers, resolver.port = [host], port
        resolver.use_edns(0, 0, PAYLOAD)
        return resolver


def _address(text: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname or "", parts.port or PORT
        Resolver(configure=False).nameservers = [host]
    except ValueError:
        raise DeclarationError(
            f"CARTMESH_DNS_SERVER={text!r} is no address of a name server, such as 9.9.9.9 or 127.0.0.1:5353"
        ) from None
    return host, port
