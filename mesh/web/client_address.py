"""Client address: who sent a request, where proxies stand in front."""


def client_address(peer: str, forwarded: str | None, trusted_proxies: int) -> str:
    """The peer, or the address that the outermost trusted proxy saw (`forwarded` is X-Forwarded-For)."""
    hops = [hop.strip() for hop in (forwarded or "").split(",") if hop.strip()]
    return hops[-min(trusted_proxies, len(hops))] if trusted_proxies and hops else peer
