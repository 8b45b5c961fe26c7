"""The description of an interface is read from its handlers: paths, parameters, bodies, responses and refusals."""

from typing import Any, Literal

import msgspec
from litestar import Litestar, Request, get, post
from litestar.params import FromPath, FromQuery

from mesh.vocabulary import PATTERN
from mesh.web.openapi import PATH, documentation, openapi, undescribed


class Tea(msgspec.Struct):
    """A tea."""

    name: str


@post("/v1/teas", takes=Tea, gives={201: Tea}, refuses=(409,), needs=("Idempotency-Key",))
async def add_tea(request: Request[Any, Any, Any]) -> None:
    """Add a tea.

    This is not in the summary.
    """


@get("/v1/teas/{tea_id:str}/{kind:str}", gives={200: str}, refuses=(404,), names={"kind": Literal["green", "black"]})
async def follow_tea(tea_id: FromPath[str], kind: FromPath[str], after: FromQuery[int] = 0) -> None:
    """Follow a tea."""


@get("/hidden")
async def hide() -> None:
    """Not described."""


def test_a_description_follows_from_the_handlers():
    """What a signature does not show stands in the decorator; every route can refuse for the usual reasons."""
    app = Litestar([add_tea, follow_tea, documentation("Teas")], openapi_config=None)

    document = openapi(app, "Teas", "a key")

    added, followed = document["paths"]["/v1/teas"]["post"], document["paths"]["/v1/teas/{tea_id}/{kind}"]["get"]
    assert set(document["paths"]) == {"/v1/teas", "/v1/teas/{tea_id}/{kind}"}
    assert added["summary"] == "Add a tea."
    assert set(added["responses"]) == {"201", "400", "401", "408", "409", "413", "503"}
    assert added["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Tea"}
    assert [(one["name"], one["in"], one["required"]) for one in added["parameters"]] == [
        ("Idempotency-Key", "header", True)
    ]
    assert [(one["name"], one["in"], one["required"], one["schema"]) for one in followed["parameters"]] == [
        ("tea_id", "path", True, {"type": "string", "pattern": PATTERN}),
        ("kind", "path", True, {"enum": ["black", "green"]}),
        ("after", "query", False, {"type": "integer"}),
    ]
    assert list(followed["responses"]["200"]["content"]) == ["text/event-stream"]
    assert "requestBody" not in followed
    assert document["components"]["schemas"]["Tea"]["required"] == ["name"]


def test_a_route_that_says_nothing_is_found():
    """The description itself needs no words."""
    app = Litestar([add_tea, hide, documentation("Teas")], openapi_config=None)

    assert undescribed(app) == ["GET /hidden"]
    assert PATH not in openapi(app, "Teas", "a key")["paths"]
