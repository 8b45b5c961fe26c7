"""Settings of the sign-in by an identity provider (OpenID Connect)."""

from urllib.parse import urlsplit

import msgspec

from mesh import settings
from mesh.errors import DeclarationError
from mesh.web.roles import ADMIN, declared_roles, includes

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class OidcSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The identity provider: its `oidc_issuer` (an https URL), and this client's id and secret there.

    Without an issuer there is no such sign-in; without a secret the client is a public one. Whoever has a verified
    e-mail address of one of `oidc_domains` gets an account with `oidc_role` at the first sign-in; otherwise an account
    is linked by an invitation.
    """

    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""
    oidc_role: str = ""
    oidc_domains: tuple[str, ...] = ()


def read_oidc_settings() -> OidcSettings | None:
    """The settings, or None where no provider is configured. Raises DeclarationError where they cannot be meant."""
    found = settings.read(OidcSettings)
    if not found.oidc_issuer:
        return None
    if not found.oidc_client_id:
        raise DeclarationError("CARTMESH_OIDC_ISSUER is set and CARTMESH_OIDC_CLIENT_ID is not")
    if not is_protected(found.oidc_issuer):
        raise DeclarationError(f"CARTMESH_OIDC_ISSUER={found.oidc_issuer!r}: an issuer is an https URL")
    if bool(found.oidc_role) != bool(found.oidc_domains):
        raise DeclarationError("CARTMESH_OIDC_ROLE and CARTMESH_OIDC_DOMAINS are set together or not at all")
    _check_role(found.oidc_role)
    return found


def is_protected(url: object) -> bool:
    """Whether what is sent to a URL is encrypted, or does not leave this machine."""
    parts = urlsplit(url if isinstance(url, str) else "")
    return bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))


def _check_role(role: str) -> None:
    if role and role not in {one.name for one in declared_roles()}:
        raise DeclarationError(f"CARTMESH_OIDC_ROLE={role!r}: there is no such role")
    if role and includes((role,), ADMIN.name):
        raise DeclarationError(f"CARTMESH_OIDC_ROLE={role!r}: nobody becomes an administrator by signing in alone")
