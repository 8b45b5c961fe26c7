"""The buckets of accounts and sessions: who reads and who writes them."""

from mesh.web.accounts import ACCOUNTS, IDENTITIES
from mesh.web.attempts import FAILURES
from mesh.web.invitations import INVITATIONS
from mesh.web.sessions import SESSIONS, TOKENS

READ_BY_PAGES = (ACCOUNTS, SESSIONS, TOKENS)
"""What every service with pages reads, to know who is signed in."""

WRITTEN_BY_CONSOLE = (ACCOUNTS, IDENTITIES, SESSIONS, TOKENS, INVITATIONS, FAILURES)
"""What the console alone writes."""
