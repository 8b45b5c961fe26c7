"""Secrets: a mesh's passwords and secret settings, random and kept beside its data, or placeholders for the start."""

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mesh.errors import TopologyError
from mesh.service import Service

OPERATOR = "operator"
COPIES = "copies"
"""Who answers other regions' servers that copy: the service of this name, or whoever started the servers."""
SYSTEM = "sys"
NEXT = ".next"
"""Ends the name of each user's second login: the same rights and another password, so that one of them can be changed
while everybody uses the other."""
_EVERYWHERE = "*"
"""Stands for the region of what all regions share."""
_USED = f"{_EVERYWHERE}/login"


def login_ending(environment: Mapping[str, str]) -> str:
    """How the names of the logins end that a process uses: `CARTMESH_NATS_LOGIN=next` says the second ones."""
    written = environment.get("CARTMESH_NATS_LOGIN", "")
    if written not in ("", NEXT[1:]):
        raise TopologyError(f"CARTMESH_NATS_LOGIN={written!r}: write {NEXT[1:]}, or nothing for the first logins")
    return f".{written}" if written else ""


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

    @property
    def used(self) -> str:
        """How the names of the logins end that clients use: not at all, or with `NEXT`."""
        return self.known.get(_USED, "")

    def renewed(self) -> "Secrets":
        """Fresh passwords for the logins that nobody uses."""
        ours = (name for name in self.known if not name.startswith(f"{_EVERYWHERE}/"))
        spare = [name for name in ours if name.endswith(NEXT) == (self.used != NEXT)]
        return Secrets({**self.known, **{name: _password() for name in spare}})

    def switched(self) -> "Secrets":
        """Clients use the other logins."""
        return Secrets({**self.known, _USED: "" if self.used else NEXT})

    def keep(self, path: Path) -> None:
        """Write them to a file for its owner alone; readers see the old ones or the new ones."""
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            json.dump(dict(self.known), file, indent=1)
        fresh.replace(path)

    def setting(self, name: str) -> str:
        """A secret setting, which is the same in every region."""
        return self.known[f"{_EVERYWHERE}/{name}"]

    def setting_value(self, name: str) -> str:
        """A secret setting as a configuration value."""
        return self.setting(name)

    @staticmethod
    def kept(path: Path, users: Mapping[str, list[str]], settings: Iterable[str] = ()) -> "Secrets":
        """Those in a file for its owner alone; random ones are added for `users` (by region) and `settings`."""
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for region, names in {**users, _EVERYWHERE: list(settings)}.items():
            for name in names:
                known.setdefault(f"{region}/{name}", _password())
        made = Secrets(known)
        made.keep(path)
        return made


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

    def setting(self, name: str) -> str:
        """The variable that holds a secret setting."""
        return f"$CARTMESH_{_variable(name)}"

    def setting_value(self, name: str) -> str:
        """The variable."""
        return Plain(self.setting(name))

    def url(self, region: str, user: str, host: str, port: int) -> str:  # noqa: ARG002  the variable holds them
        """The variable that holds a server's address with the credentials: configurations have no interpolation."""
        return Plain(f"$CARTMESH_{_variable(region)}_{_variable(user)}_URL_{_variable(host.partition('.')[0])}")


def secret_settings(services: Iterable[Service]) -> list[str]:
    """The secret settings that some service does not start without."""
    return sorted({name for service in services for name in service.secrets})


def setting_key(name: str) -> str:
    """The key of a secret setting in the Secret with the passwords."""
    return f"settings.{name}"


def settings_as_variables(known: Secrets, services: Iterable[Service]) -> dict[str, str]:
    """The same as variables of a process."""
    return {f"CARTMESH_{_variable(name)}": known.setting(name) for name in secret_settings(services)}


def _password() -> str:
    # A letter first: what looks like a number in a variable, nats-server reads as one.
    return f"p{secrets.token_hex(16)}"


def _variable(name: str) -> str:
    return name.upper().replace("-", "_").replace(".", "_")
