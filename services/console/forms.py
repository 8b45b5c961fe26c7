"""Forms: what people send, as text without what cannot be meant."""

from typing import Any

from email_validator import EmailNotValidError, validate_email
from litestar import Request

LONGEST = 200


async def fields(request: Request[Any, Any, Any], *names: str) -> dict[str, str]:
    """The named fields, an empty string for those that are missing. Passwords are left as they are."""
    sent = await request.form()
    found = {name: str(sent.get(name, "")) for name in names}
    return {name: value if "password" in name else value.strip()[:LONGEST] for name, value in found.items()}


def email_of(written: str) -> str | None:
    """An e-mail address in its usual form, or None where it is none. Whether it exists is not asked."""
    try:
        return validate_email(written, check_deliverability=False).normalized
    except EmailNotValidError:
        return None
