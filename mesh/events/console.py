"""What people do in the console."""

from datetime import datetime

import msgspec

from mesh.event import Event, event


@event(key="account_id")
class ConsoleChanged(Event):
    """Somebody changed something in the console: who, what, when and on which page.

    `account_id` names an account, never a person; `action` is the handler's name (`change-password`); `subject` is the
    id of what was changed, and `details` are further facts that are nobody's personal data.
    """

    account_id: str
    action: str
    page: str
    at: datetime
    subject: str = ""
    details: dict[str, str] = msgspec.field(default_factory=dict)
