"""Addresses that nothing is written to, by their digests: one by one, or as lists that were imported."""

from datetime import datetime

from mesh.event import Event, event


@event(key="address")
class AddressSuppressed(Event):
    """No offers go to an address any more, or (`suppressed` false) they may again. The newest holds, in all regions.

    `address` is a digest. `reason` is an open token: `hard-bounce`, `soft-bounces`, `complaint`, `manual`; `by` the
    service or account that says so, or `owner`; `note` what a person wrote about it, which names nobody.
    """

    address: str
    suppressed: bool
    reason: str
    by: str
    note: str = ""


@event(key="part")
class AddressListImported(Event):
    """A part of an imported list: addresses that nothing is written to any more, whatever was allowed before.

    `addresses` are digests of 16 bytes each, sorted, put together and in base64; all begin with the same byte. `list`
    names the import, `part` this part of it.
    """

    part: str
    list: str
    by: str
    at: datetime
    addresses: str
