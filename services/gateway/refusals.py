"""Refusals: events that are refused and establish something all the same; their service says what."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from mesh.accept import Refused, Sent
from mesh.errors import InvalidField
from mesh.event import Event
from mesh.runtime.hosting import Hosted


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A refused event, and who decides what follows from it."""

    refused: Refused[Event]
    hosted: Hosted


def refusal(
    hosted: Hosted,
    fields: Mapping[str, Any],
    wrong: InvalidField,
    *,
    id: str,
    time: datetime,
    received: datetime,
    by: str,
) -> Refusal:
    """The refusal of an event for what is `wrong` with it; `fields` are those that are right."""
    refused = Refused(
        kind=hosted.owner.acceptance.kind,
        fields={name: value for name, value in fields.items() if value is not None},
        path=wrong.path,
        reason=wrong.reason,
        id=id,
        time=time,
        received=received,
        by=by,
    )
    return Refusal(refused=refused, hosted=hosted)


def refusal_of_valid(hosted: Hosted, sent: Sent[Event], wrong: InvalidField) -> Refusal | None:
    """The refusal of an event that is right by itself, because of what is stored; None where nobody wants to know."""
    if hosted.owner.acceptance.refused is None:
        return None
    fields = msgspec.structs.asdict(sent.event)
    id_ = f"{sent.id[:100]}-refused"
    time = min(sent.time, sent.received)
    return refusal(hosted, fields, wrong, id=id_, time=time, received=sent.received, by=sent.by)
