"""Provider accounts: which account an identity provider's person has."""

from mesh import Mesh
from mesh.errors import Conflict
from mesh.web.accounts import Account, Accounts, email_identity, provider_identity
from mesh.web.invitations import Invitations
from services.console.forms import email_of
from services.console.id_token import Verified
from services.console.oidc_settings import OidcSettings

UNKNOWN = (
    "Your identity provider knows you, and this console has no account for you. Ask an administrator for an invitation."
)
OTHER_SIGN_IN = (
    "An account with this e-mail address exists and is not linked to your identity provider. "
    "Sign in with its password, or ask an administrator for a link."
)
DISABLED = "This account is disabled. Ask an administrator."
GONE = "This invitation was used already, or is too old. Ask whoever gave it to you for another."
LINKED = "Your identity provider's account is linked already. Sign in with it, without the invitation."
NO_EMAIL = "Your identity provider did not send an e-mail address, which an account needs. Use a password instead."


class Refused(Exception):
    """Somebody is not let in: the response's status, and the reason to show them."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class ProviderAccounts:
    """The accounts of people whom the provider recognised. An address alone never opens an account that exists."""

    def __init__(self, mesh: Mesh, settings: OidcSettings) -> None:
        self._accounts, self._invitations, self._settings = Accounts(mesh), Invitations(mesh), settings

    async def account(self, person: Verified, invitation: str) -> tuple[Account, str]:
        """Their account, and what was done for it: `sign_in`, `link_identity` or `join`. Raises Refused."""
        identity = provider_identity(person.issuer, person.subject)
        linked = await self._accounts.find(identity)
        if linked is not None and linked.disabled:
            raise Refused(403, DISABLED)
        if linked is not None and invitation:
            raise Refused(409, LINKED)
        if linked is not None:
            return linked, "sign_in"
        return await (self._invited(person, identity, invitation) if invitation else self._of_domain(person, identity))

    async def _invited(self, person: Verified, identity: str, token: str) -> tuple[Account, str]:
        invitation = await self._invitations.get(token)
        if invitation is None:
            raise Refused(410, GONE)
        if not invitation.account_id:
            email = await self._free_email(person)
            if await self._invitations.use(token) is None:
                raise Refused(410, GONE)
            return await self._create(person, email, invitation.roles, identity)
        account = await self._accounts.get(invitation.account_id)
        if account is None or account.disabled:
            raise Refused(403, DISABLED)
        if await self._invitations.use(token) is None:
            raise Refused(410, GONE)
        try:
            await self._accounts.link(account.id, identity)
        except Conflict:
            raise Refused(409, LINKED) from None
        return account, "link_identity"

    async def _of_domain(self, person: Verified, identity: str) -> tuple[Account, str]:
        domain = person.email.rpartition("@")[2].casefold()
        known = {one.casefold().removeprefix("@") for one in self._settings.oidc_domains}
        # The first account is an administrator's, who comes by the first link: with another it would be void.
        if not person.email_is_verified or domain not in known or not await self._accounts.any():
            raise Refused(403, UNKNOWN)
        return await self._create(person, await self._free_email(person), (self._settings.oidc_role,), identity)

    async def _free_email(self, person: Verified) -> str:
        email = email_of(person.email)
        if email is None:
            raise Refused(403, NO_EMAIL)
        if await self._accounts.find(email_identity(email)):
            raise Refused(409, OTHER_SIGN_IN)
        return email

    async def _create(self, person: Verified, email: str, roles: tuple[str, ...], identity: str) -> tuple[Account, str]:
        try:
            name = person.name or email
            return await self._accounts.create(email=email, name=name, roles=roles, identity=identity), "join"
        except Conflict:  # of two sign-ins at once the other was first
            raise Refused(409, OTHER_SIGN_IN) from None
