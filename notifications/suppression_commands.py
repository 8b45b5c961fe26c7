"""Commands for suppressed addresses, `cartmesh suppressions import | export`: for lists too large for the page."""

import getpass
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import cyclopts

from notifications.documents.region import HERE, Where, run_in

if TYPE_CHECKING:
    from mesh import Mesh
    from notifications.mail_reports.requests import ImportedPart
    from notifications.suppression_list import ReadList

suppressions = cyclopts.App(name="suppressions", help="Addresses that no offers go to: import a list, export it.")
PATIENCE = timedelta(seconds=60)


@suppressions.command(name="import")
def import_(file: Path, *, where: Where = HERE) -> None:
    """Suppress the addresses of a CSV file, in every region. Ends with 1 where some lines have no address.

    One address a line, in UTF-8; the column is found by its name or by what is in it. The secret that keys digests
    (CARTMESH_ADDRESS_SECRET) must be that of the mesh.
    """
    from notifications.suppression_list import NoList  # noqa: PLC0415  loaded only when it is asked for

    try:
        read = run_in(where, lambda mesh: _imported(file, mesh))
    except NoList as error:
        raise SystemExit(f"nothing was imported: {error}") from None
    for one in read.bad:
        print(f"line {one.line:,}: {one.why}", file=sys.stderr)
    if read.refused > len(read.bad):
        print(f"and {read.refused - len(read.bad):,} more lines", file=sys.stderr)
    print(f"{read.addresses:,} addresses from {read.lines:,} lines; {read.refused:,} lines have no address")
    if read.refused:
        sys.exit(1)


@suppressions.command
def export(*, addresses: bool = False, reason: str = "", where: Where = HERE) -> None:
    """Print the list as CSV: digest, reason, since when; with `--addresses` also those that this region knows.

    Who has addresses printed, and the reason that they give, is put on record in the region.
    """
    if addresses and not reason:
        raise SystemExit("say with --reason why the addresses are needed: it is put on record")
    run_in(where, lambda mesh: _exported(mesh, reason if addresses else ""))


async def _imported(file: Path, mesh: "Mesh") -> "ReadList":
    from notifications.mail_reports.requests import Done  # noqa: PLC0415  as above
    from notifications.suppression_list import import_list, name_of  # noqa: PLC0415

    async def send(part: "ImportedPart") -> None:
        await mesh.ask("mail-reports", "import-part", part, Done, within=PATIENCE)

    async def pause() -> None:
        pass  # nobody else waits in this process

    with file.open("rb") as opened:
        now = datetime.now(UTC)
        return await import_list(opened, send, named=name_of(opened), by="operator", at=now, pause=pause)


async def _exported(mesh: "Mesh", reason: str) -> None:
    from mesh.events.customer import CustomerIdentified  # noqa: PLC0415  as above
    from mesh.operations.events import recorded  # noqa: PLC0415
    from mesh.profiles import address_digest  # noqa: PLC0415
    from notifications.suppression_list import exported  # noqa: PLC0415

    known: dict[str, str] = {}
    if reason:
        await recorded(mesh, getpass.getuser(), reason, "the addresses that are suppressed")
        async for received in mesh.read(CustomerIdentified):
            if email := received.event.email:
                known[address_digest(email)] = email
    async for part in exported(mesh):
        for row in part.splitlines():
            digest = row.partition(",")[0]
            address = "address" if digest == "digest" else known.get(digest, "")
            print(f"{row},{_cell(address)}" if reason else row)


def _cell(address: str) -> str:
    """An address as a cell, which no spreadsheet takes for a formula."""
    text = f"'{address}" if address[:1] in ("=", "+", "-", "@") else address
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\n') else text
