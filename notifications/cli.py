"""Commands of notifications: the embedded inbox, a look at a template, and keys for signing mails."""

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import cyclopts

SMTP_PORT, HTTP_PORT = 1025, 8025
COMPANION = ("inbox", "--smtp-port", "0", "--http-port", "0")
"""The command that `cartmesh up` runs beside the mesh, with `--dir` behind it."""


def commands(app: "cyclopts.App") -> None:
    """Add `inbox`, `preview`, `mail-keys`, `push-keys`, `journeys`, `templates` and `suppressions`."""
    from notifications.conditions.command import audience_rate  # noqa: PLC0415  other packages' commands go first
    from notifications.documents.commands import journeys, templates  # noqa: PLC0415  as above
    from notifications.mail_keys import mail_keys  # noqa: PLC0415  as above
    from notifications.push_keys import push_keys  # noqa: PLC0415  as above
    from notifications.suppression_commands import suppressions  # noqa: PLC0415  as above

    app.command(inbox)
    app.command(preview)
    app.command(mail_keys)
    app.command(push_keys)
    if "rate" not in journeys:  # the group is one for the whole process
        journeys.command(audience_rate, name="rate")
    app.command(journeys)
    app.command(templates)
    app.command(suppressions)


def inbox(
    *,
    smtp_port: int = SMTP_PORT,
    http_port: int = HTTP_PORT,
    dir: Path = Path("inbox"),
    host: str = "127.0.0.1",
    usual_ports: bool = False,
) -> None:
    """Run the embedded inbox: an SMTP server that keeps its own record, and a page that shows the mails.

    Parameters
    ----------
    smtp_port
        Where it takes mails; 0 is any free port.
    http_port
        Where its page is; 0 is any free port.
    dir
        Its folder: `mails.jsonl` (the record), `mails/` and `inbox.json` (the addresses it chose).
    host
        The address it listens on.
    usual_ports
        Take 1025 and 8025 where they are free, and any others where not.

    """
    import uvloop  # noqa: PLC0415  only the server gains by it

    from mesh.runtime.ports import usual_port  # noqa: PLC0415  as above

    with ExitStack() as kept:
        if usual_ports:
            smtp_port, http_port = (kept.enter_context(usual_port(port)) for port in (SMTP_PORT, HTTP_PORT))
        uvloop.run(_inbox(smtp_port, http_port, dir, host))


def preview(
    template: str = "abandoned-cart",
    *,
    locale: str = "en",
    show: Literal["html", "text", "subject", "card"] = "text",
    to: Path | None = None,
) -> None:
    """Render a template with a sample of what it is for.

    Parameters
    ----------
    template
        One that comes with Cartmesh, or the path of a folder such as `./spring-sale`.
    locale
        The shopper's, such as de-AT.
    show
        What to print.
    to
        A file to write it to instead.

    """
    rendered = asyncio.run(_preview(template, locale))
    values = {"html": rendered.html, "text": rendered.text, "subject": rendered.subject}
    card = f"{rendered.card.title}\n{rendered.card.body}\n[{rendered.card.action}]"
    text = values.get(show, card)
    if to:
        to.write_text(text, encoding="utf-8")
    else:
        print(text)


async def _inbox(smtp_port: int, http_port: int, folder: Path, host: str) -> None:
    from mesh.runtime.run import until_asked_to_stop  # noqa: PLC0415  other commands need no server
    from notifications.inbox.server import inbox as running  # noqa: PLC0415

    with until_asked_to_stop() as stop:
        async with running(folder, smtp_port=smtp_port, http_port=http_port, host=host) as box:
            found = {"CARTMESH_URL_INBOX": box.url, **box.environment(host)}
            ready = {"addresses": {"inbox": box.url}, "environment": found}
            print(json.dumps(ready), flush=True)
            await stop.wait()


async def _preview(template: str, locale: str):  # noqa: ANN202  its type would load the renderer
    from mesh.settings import read  # noqa: PLC0415
    from notifications.render_pool import RenderSettings, open_render_pool  # noqa: PLC0415
    from notifications.sample import sample  # noqa: PLC0415
    from notifications.templates import FOLDER  # noqa: PLC0415
    from notifications.templates.kind import TEMPLATES  # noqa: PLC0415
    from notifications.templates.template import template_of  # noqa: PLC0415
    from notifications.templates.trial import sample_variables  # noqa: PLC0415

    named = template_of(*TEMPLATES.read(Path(template) if "/" in template else FOLDER / template))
    async with open_render_pool(read(RenderSettings)) as pool:
        return await pool.render(named, locale, sample_variables(named, sample(locale)))
