"""Dead letters: the latest of the own region, without their payload."""

from mesh import Mesh
from mesh.broker.protocol import Message
from mesh.dead_letters import dead_letter_of, latest_dead_letters
from mesh.envelope import open_envelope
from mesh.errors import InvalidEvent, Unavailable
from services.operations.board.state import DeadLetterShown

SHOWN = 20


class LatestDeadLetters:
    """What `look` found last. `problem` says why it could not."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self.newest: tuple[DeadLetterShown, ...] = ()
        self.problem: str | None = None

    async def look(self) -> bool:
        """Read the newest again; whether there are others than before."""
        before = self.newest, self.problem
        try:
            self.newest = tuple(
                _shown(message, self._mesh.region) for message in await latest_dead_letters(self._mesh, SHOWN)
            )
            self.problem = None
        except Unavailable as error:
            self.problem = f"dead letters cannot be read: {error}"
        return before != (self.newest, self.problem)


def _shown(message: Message, region: str) -> DeadLetterShown:
    dead_letter = dead_letter_of(message)
    _, _, domain, action, *_ = (*dead_letter.subject.split("."), "", "", "", "")
    try:
        event_id = open_envelope(message.body).id
    except InvalidEvent:
        event_id = ""  # that it cannot be read may be why it became a dead letter
    return DeadLetterShown(
        at=message.stored,
        region=region,
        service=dead_letter.service,
        handler=dead_letter.durable.removeprefix(f"{dead_letter.service}-"),
        type=f"{domain}.{action}",
        id=event_id,
        number=message.sequence,
        reason=dead_letter.reason,
    )
