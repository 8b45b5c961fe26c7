"""Health routes: `/healthz`, `/readyz` and `/metrics` as Litestar handlers; `health` is the same as plain ASGI."""

from typing import Any

from litestar import MediaType, Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mesh.mesh import Mesh
from mesh.web.health import unready
from mesh.web.problems import retry_later


def health_routes(mesh: Mesh, *more: Mesh) -> list[HTTPRouteHandler]:
    """`/healthz` (this process runs), `/readyz`, `/metrics` (Prometheus).

    Ready: JetStream responds, and what the process keeps in its memory is filled from the streams. `more` are the
    meshes of further services in the process.
    """

    @get("/healthz", media_type=MediaType.TEXT)
    async def report_alive() -> str:
        return "ok\n"

    @get("/readyz", media_type=MediaType.TEXT)
    async def report_ready() -> Response[Any]:
        if reason := await unready(mesh, *more):
            return retry_later(503, reason, seconds=1)
        return Response("ok\n", media_type=MediaType.TEXT)

    @get("/metrics")
    async def report_metrics() -> Response[bytes]:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return [report_alive, report_ready, report_metrics]
