"""Addresses: which may be connected to. A list of our own: what Python calls global leads into one's own network, too.

Of IPv6 only global unicast (2000::/3) is taken, without the parts that stand for IPv4 addresses or lead into tunnels;
so mapped addresses, NAT64, site-local, unique local and multicast ones are refused by not being in it. From the IANA
special-purpose registries (https://www.iana.org/assignments/iana-ipv4-special-registry, ...-ipv6-special-registry).
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_REFUSED_4 = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private use
            "100.64.0.0/10",  # shared with a provider's customers; metadata of some clouds
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # Azure's own services, as seen from within
            "169.254.0.0/16",  # link-local; metadata of most clouds
            "172.16.0.0/12",  # private use
            "192.0.0.0/24",  # protocol assignments; metadata of one cloud
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT relays
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private use
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_GLOBAL_6 = ip_network("2000::/3")
_REFUSED_6 = tuple(
    map(
        ip_network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks, AMT
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4: any IPv4 address
            "2620:4f:8000::/48",  # AS112
            "3ffe::/16",  # 6bone, given back
            "3fff::/20",  # documentation
        ),
    )
)


def refusal(address: str) -> str | None:
    """Why an IP address (RFC 4291 or dotted decimal, with or without a zone) is not connected to; None: it may be."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return f"{address} is no IP address"
    if isinstance(parsed, IPv4Address):
        return _refused_4(parsed)
    return _refused_6(parsed)


def _refused_4(address: IPv4Address) -> str | None:
    found = next((network for network in _REFUSED_4 if address in network), None)
    return f"{address} is in {found}, which is not public" if found else None


def _refused_6(address: IPv6Address) -> str | None:
    if address not in _GLOBAL_6:
        return f"{address} is outside 2000::/3: it is not public, or stands for an IPv4 address"
    found = next((network for network in _REFUSED_6 if address in network), None)
    return f"{address} is in {found}, which is not public" if found else None
