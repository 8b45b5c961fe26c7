"""Roles: what an account may see and do. The set is open: a package declares roles of its own with `declare_role`."""

from collections.abc import Iterable

import msgspec

from mesh.errors import DeclarationError
from mesh.subjects import token


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A role and those that it includes. `summary` is shown where roles are given."""

    name: str
    summary: str
    includes: tuple[str, ...] = ()


_roles: dict[str, Role] = {}


def declare_role(name: str, summary: str, *, includes: tuple[str, ...] = ()) -> Role:
    """Declare a role. DeclarationError where one of its name differs, or an included one is not declared yet."""
    role = Role(name=token(name, "role"), summary=summary, includes=includes)
    if unknown := [included for included in includes if included not in _roles]:
        raise DeclarationError(f"role {name!r} includes {', '.join(unknown)}, which is not declared")
    if _roles.setdefault(name, role) != role:
        raise DeclarationError(f"role {name!r} is declared twice")
    return role


def declared_roles() -> tuple[Role, ...]:
    """All roles, in the order of their declaration."""
    return tuple(_roles.values())


def includes(held: Iterable[str], wanted: str) -> bool:
    """Whether an account with these roles has a role, by itself or included. An administrator has every role."""
    found = set(held)
    if ADMIN.name in found:
        return True
    waiting = list(found)
    while waiting:
        role = _roles.get(waiting.pop())
        more = set(role.includes if role else ()) - found
        found |= more
        waiting += more
    return wanted in found


VIEWER = declare_role("viewer", "Sees every page that changes nothing")
MARKETER = declare_role("marketer", "Drafts offers, templates and journeys", includes=("viewer",))
PUBLISHER = declare_role("publisher", "Publishes what marketers drafted", includes=("marketer",))
WAREHOUSE = declare_role("warehouse", "Receives, counts and moves stock", includes=("viewer",))
REVIEWER = declare_role("reviewer", "Decides about orders that wait, and about fraud", includes=("viewer",))
OPERATOR = declare_role("operator", "Operates the mesh: dead letters, rebuilding, regions", includes=("viewer",))
ADMIN = declare_role("admin", "Everything, also accounts and roles")
