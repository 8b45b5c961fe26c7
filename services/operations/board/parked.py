"""Parked: the newest dead letters of the own region, without their payload."""

from mesh import Mesh
from mesh.broker.protocol import Message
from mesh.dead_letters import dead_letter_of, latest_dead_letters
from mesh.envelope import open_envelope
from mesh.errors import InvalidEvent, Unavailable
from services.operations.board.picture import LetterShown

SHOWN = 20


class Parked:
    """What `look` found last. `doubt` says why it could not."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self.newest: tuple[LetterShown, ...] = ()
        self.doubt: str | None = None

    async def look(self) -> bool:
        """Read the newest again; whether there are others than before."""
        before = self.newest, self.doubt
        try:
            self.newest = tuple(
                _shown(message, self._mesh.region) for message in await latest_dead_letters(self._mesh, SHOWN)
            )
            self.doubt = None
        except Unavailable as error:
            self.doubt = f"dead letters cannot be read: {error}"
        return before != (self.newest, self.doubt)


def _shown(message: Message, region: str) -> LetterShown:
    letter = dead_letter_of(message)
    _, _, domain, happening, *_ = (*letter.subject.split("."), "", "", "", "")
    try:
        event_id = open_envelope(message.body).id
    except InvalidEvent:
        event_id = ""  # that it cannot be read may be why it was parked
    return LetterShown(
        at=message.stored,
        region=region,
        service=letter.service,
        handler=letter.durable.removeprefix(f"{letter.service}-"),
        type=f"{domain}.{happening}",
        id=event_id,
        number=message.sequence,
        reason=letter.reason,
    )
