"""Secrets: a mesh's passwords and secret settings, random and kept beside its data, or placeholders for the start."""

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mesh.service import Service

OPERATOR = "operator"
COPIES = "copies"
"""Who answers other regions' servers that copy: the service of this name, or whoever started the servers."""
SYSTEM = "sys"
_EVERYWHERE = "*"
"""Stands for the region of what all regions share."""


class Plain(str):
    """What stands in a server's configuration without quotes: a size, or the name of a variable."""

    __slots__ = ()


@dataclass(frozen=True)
class Secrets:
    """Passwords by region and user, secret settings by name. `value` is how one stands in a server's configuration."""

    known: Mapping[str, str]

    def password(self, region: str, user: str) -> str:
        """A user's password in a region."""
        return self.known[f"{region}/{user}"]

    def value(self, region: str, user: str) -> str:
        """The password as a configuration value."""
        return self.password(region, user)

    def url(self, region: str, user: str, host: str, port: int) -> str:
        """A server's address with the user's credentials, as a configuration value."""
        return f"nats://{user}:{self.password(region, user)}@{host}:{port}"

    def setting(self, name: str) -> str:
        """A secret setting, which is the same in every region."""
        return self.known[f"{_EVERYWHERE}/{name}"]

    @staticmethod
    def kept(path: Path, users: Mapping[str, list[str]], settings: Iterable[str] = ()) -> "Secrets":
        """Those in a file for its owner alone; random ones are added for `users` (by region) and `settings`."""
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for region, names in {**users, _EVERYWHERE: list(settings)}.items():
            for name in names:
                # A letter first: what looks like a number in a variable, nats-server reads as one.
                known.setdefault(f"{region}/{name}", f"p{secrets.token_hex(16)}")
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            json.dump(known, file, indent=1)
        return Secrets(known)


class Placeholders(Secrets):
    """Names of environment variables instead of passwords; nats-server fills them when it starts.

    A variable's value must be quoted where it could be read as a number; a link's URL is one variable.
    """

    def __init__(self) -> None:
        super().__init__({})

    def password(self, region: str, user: str) -> str:
        """The variable that holds a user's password."""
        return f"$CARTMESH_{_variable(region)}_{_variable(user)}_PASSWORD"

    def value(self, region: str, user: str) -> str:
        """The variable."""
        return Plain(self.password(region, user))

    def url(self, region: str, user: str, host: str, port: int) -> str:  # noqa: ARG002  the variable holds them
        """The variable that holds a server's address with the credentials: configurations have no interpolation."""
        return Plain(f"$CARTMESH_{_variable(region)}_{_variable(user)}_URL_{_variable(host.partition('.')[0])}")


def secret_settings(services: Iterable[Service]) -> list[str]:
    """The secret settings that some service does not start without."""
    return sorted({name for service in services for name in service.secrets})


def settings_as_variables(known: Secrets, services: Iterable[Service]) -> dict[str, str]:
    """The same as variables of a process."""
    return {f"CARTMESH_{_variable(name)}": known.setting(name) for name in secret_settings(services)}


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")
