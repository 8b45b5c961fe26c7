"""HTTPS: messages to an endpoint in the HTTP binding of CloudEvents, signed by Standard Webhooks."""

from mesh.partner_events import http_headers
from mesh.web.endpoint_client import EndpointClient, Response
from services.webhooks.destinations.destination import Message


class HttpsDestination:
    """An endpoint."""

    def __init__(self, client: EndpointClient, url: str) -> None:
        self._client, self._url = client, url

    async def send(self, message: Message) -> Response:
        """Post it."""
        headers = {"Content-Type": message.content_type, "User-Agent": "Cartmesh-Webhooks/1"}
        return await self._client.send(
            self._url, http_headers(message.attributes) | headers | message.signed, message.body
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()
