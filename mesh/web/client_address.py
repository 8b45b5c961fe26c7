"""Client address: who sent a request, where proxies stand in front, and by what their requests are counted."""

from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from litestar import Request

SHARED_PREFIX = 64
"""The bits of an IPv6 address that its holder cannot choose: a whole /64 is one subscriber's (RFC 6177)."""


def address_of(request: Request[Any, Any, Any], trusted_proxies: int) -> str:
    """Whose request it is, as it is counted: the IPv4 address, or the /64 network of an IPv6 address."""
    peer = request.client.host if request.client else "unknown"
    return counted_as(client_address(peer, request.headers.getall("x-forwarded-for", []), trusted_proxies))


def client_address(peer: str, forwarded: Sequence[str], trusted_proxies: int) -> str:
    """The peer, or the address that the outermost trusted proxy saw.

    `forwarded` are the values of X-Forwarded-For. A client can send lines of its own, and a proxy may append to the
    last of them or add another: together they are one list, of which only the end is believed (RFC 9110, 5.3).
    """
    hops = [hop.strip() for line in forwarded for hop in line.split(",") if hop.strip()]
    return hops[-min(trusted_proxies, len(hops))] if trusted_proxies and hops else peer


def counted_as(address: str) -> str:
    """By what an address is counted, so that nobody has more than one allowance: without port, IPv6 by its /64."""
    text = address.strip()
    if text.startswith("["):  # [2001:db8::1]:443
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:  # 192.0.2.1:443
        text = text.partition(":")[0]
    with suppress(ValueError):
        found: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
        if isinstance(found, IPv4Address):
            return str(found)
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ip_network((found, SHARED_PREFIX), strict=False))
    return text[:64]
