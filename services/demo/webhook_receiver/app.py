"""Receiver: what a partner's endpoint would get, as a page, newest first."""

from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Litestar, Request, Response, get, post
from litestar.params import FromPath

from mesh.web.headers import response_headers
from mesh.web.static_files import StaticFiles, read_folder

HERE = Path(__file__).parent
SHOWN, LARGEST = 100, 256 * 1024
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-type")


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `repeated`: its webhook-id had come before."""

    at: datetime
    path: str
    headers: dict[str, str]
    type: str
    subject: str
    body: str
    repeated: bool


def app() -> Litestar:
    """Takes `POST` to any path, and shows the newest at `/`."""
    taken: deque[Taken] = deque(maxlen=SHOWN)
    files = StaticFiles(read_folder(HERE / "static"))
    templates = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )

    @get("/")
    async def show_taken() -> Response[str]:
        """What came, newest first."""
        text = templates.get_template("receiver.html.j2").render(at=files.urls, taken=list(reversed(taken)))
        return Response(text, media_type="text/html", headers={"Cache-Control": "no-store"})

    @post("/{path:path}", status_code=200)
    async def take(request: Request[Any, Any, Any], path: FromPath[str]) -> dict[str, int]:
        """Take a webhook."""
        content = await request.body()
        id_ = request.headers.get("webhook-id", "")
        event = _event(content)
        taken.append(
            Taken(
                at=datetime.now(UTC),
                path=path,
                headers={name: request.headers[name] for name in HEADERS if name in request.headers},
                type=str(event.get("type", "no CloudEvent")),
                subject=str(event.get("subject", "")),
                body=msgspec.json.format(content, indent=2).decode() if event else content.decode("utf-8", "replace"),
                repeated=any(one.headers.get("webhook-id") == id_ for one in taken),
            )
        )
        return {"taken": len(taken)}

    return Litestar(
        [show_taken, take, files.route()],
        openapi_config=None,
        request_max_body_size=LARGEST,
        response_headers=response_headers(),
    )


def _event(content: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
