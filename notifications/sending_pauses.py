"""Sending pauses: whether offers to a recipient's domain are held, because too many of them come back."""

import re
from datetime import datetime

from mesh import Mesh, Received
from mesh.envelope import derive_id
from mesh.events.sending import SendingPaused


def domain_of(email: str) -> str:
    """The domain of an address, in lower case and as DNS has it; what is no domain as it is."""
    domain = email.rpartition("@")[2].strip().rstrip(".").lower()
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return domain


def place_of(domain: str) -> str:
    """The key of a domain: its dots are underscores, which no domain of a mail address has."""
    name = domain.replace(".", "_")
    if re.fullmatch(r"[a-z0-9_-]{1,100}", name):
        return name
    return derive_id("domain", domain)


async def paused_domains(mesh: Mesh) -> dict[str, Received[SendingPaused]]:
    """The domains to which offers are held in this region, each with what says so. Raises Unavailable."""
    newest = {one.event.domain: one async for one in mesh.read(SendingPaused)}
    return {domain: one for domain, one in newest.items() if one.event.paused}


async def pause_of(email: str, mesh: Mesh) -> datetime | None:
    """Since when offers to an address's domain are held in this region; None where they are not."""
    last = await mesh.last(SendingPaused, place_of(domain_of(email)))
    return last.stored if last and last.event.paused else None
