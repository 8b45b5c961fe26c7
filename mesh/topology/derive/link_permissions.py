"""Link permissions: what may cross between regions, and what a region's operator may therefore not publish."""

from collections.abc import Sequence

from mesh.streams import DEFAULT_LAYOUT, StreamLayout, copies, dead_stream, mesh_stream
from mesh.topology.derive.permissions import Permissions
from mesh.topology.regions import Link


def link_permissions(link: Link, layout: StreamLayout = DEFAULT_LAYOUT) -> Permissions:
    """What may cross a link, as seen by the dialer (publish: dialer -> listener).

    In each direction: the origin's live messages, and what its servers send for the sake of copies (`_of_servers`).
    Nothing beginning with `ev`, `pii`, `timer`, `carrier` or `dead` is in the list, no inbox of a user, and no request
    that reads or makes anything (promises P5 and P7).
    """
    return Permissions(
        publish=(*_of_servers(layout, origin=link.dialer, target=link.listener), f"live.{link.dialer}.>"),
        subscribe=(*_of_servers(layout, origin=link.listener, target=link.dialer), f"live.{link.listener}.>"),
    )


def operator_never(region: str, others: Sequence[str], layout: StreamLayout = DEFAULT_LAYOUT) -> tuple[str, ...]:
    """What a region's operator may not publish, whose account may else do everything there.

    What crosses links is for servers: a server answers, or acknowledges, to whatever subject of its own region the
    sender names, its JetStream API's among them (decisions/0026). Nor may the operator make a stream that is called as
    another region's: its consumers' deliveries could be acknowledged there.
    """
    crossing = [subject for other in others for subject in _of_servers(layout, origin=region, target=other)]
    streams = [
        stream
        for other in others
        for stream in (*(family.stream(other) for family in layout.families), dead_stream(other), mesh_stream(other))
    ]
    made = [f"$JS.API.STREAM.{what}.{stream}" for stream in streams for what in ("CREATE", "RESTORE")]
    return tuple(dict.fromkeys((*crossing, *made)))


def asked_by(asking: str, asked: str, layout: StreamLayout = DEFAULT_LAYOUT) -> tuple[str, ...]:
    """What one region may ask of another's JetStream: to deliver copies again from a place.

    What is copied, and to where, stands in the consumers that the asked region made (`Copy`).
    """
    api = f"$JS.{asked}.API"
    wanted = copies(layout, origin=asked, target=asking)
    return tuple(f"{api}.CONSUMER.RESET.{copy.stream}.{copy.consumer}" for copy in wanted)


def never_out() -> tuple[str, ...]:
    """What a dialer sends to nobody, whatever the listener's list allows."""
    return ("pii.>", "timer.>", "carrier.>", "dead.>", "$KV.>", "$O.>")


def _of_servers(layout: StreamLayout, *, origin: str, target: str) -> tuple[str, ...]:
    """What the servers of one region send to another's: copies, and all that receiving copies takes.

    `$JSC.R.>` carries the answers to servers that copy: without it they stay silent for ever.
    """
    wanted = copies(layout, origin=target, target=origin)
    return (
        *asked_by(origin, target, layout),
        # The acknowledgements of copies; servers of 2.15 have a second form with domain and account.
        *(f"$JS.FC.{between}{copy.stream}.{copy.consumer}.>" for copy in wanted for between in ("", "*.*.")),
        *(copy.delivered_on for copy in copies(layout, origin=origin, target=target)),
        "$JSC.R.>",
    )
