"""Bodies: the JSON of the document API, as it is sent and as it is answered."""

from datetime import datetime

import msgspec


class SaveDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A draft as it shall be. `version` is the `draft_version` that was read last: 0 where there never was a draft.

    With `begin` it is based on the revision in force, though it was begun on an earlier one.
    """

    files: dict[str, str]
    version: int
    begin: bool = False


class PublishDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which draft is published over which revision: those that were read last. `null`: nothing is in force yet.

    With `keep_runs` a journey's runs under way keep the revision that they have; otherwise they go on with this one.
    """

    version: int
    expected_revision: int | None
    keep_runs: bool = False


class ReviewDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which draft is meant: the `draft_version` that was read last. `comment`: 2,000 characters at most."""

    version: int
    comment: str = ""


class Revert(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The earlier revision that is published again, over the one that is in force."""

    revision: int
    expected_revision: int | None


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who wrote something: an account's id (`seed`: it came from files) and, where this region has it, the name."""

    id: str
    name: str


class Revision(msgspec.Struct, frozen=True, kw_only=True):
    """A published revision: by whom, when (UTC) and in which region. `state`: in force, replaced by a later one, ...

    `files` are its texts by file name; lists leave them out.
    """

    name: str
    revision: int
    author: Author
    time: datetime
    region: str
    state: str
    files: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What was saved last, by whom and when (UTC). `based_on` is the revision in force when it was begun.

    `files` are its texts by file name; lists leave them out.
    """

    name: str
    author: Author
    time: datetime
    based_on: int | None
    files: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


class Reviewed(msgspec.Struct, frozen=True, kw_only=True):
    """What was said last about a version of a draft, by whom and when (UTC): `asked`, `approved` or `returned`."""

    version: int
    state: str
    by: Author
    time: datetime
    comment: str


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A document in the list: what is in force, and the draft, where there are any."""

    name: str
    in_force: Revision | None
    draft: Draft | None


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """A document: what is in force, the draft, and the `draft_version` that the next change of the draft must carry.

    `review` is what was said of the draft at that version; where it was changed since, nothing was.
    """

    name: str
    in_force: Revision | None
    draft: Draft | None
    draft_version: int
    review: Reviewed | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from one text to another (a revision's number, `draft`, or `none`), as a unified diff."""

    before: str
    after: str
    difference: str
