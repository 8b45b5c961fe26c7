"""HTTPS: messages to an endpoint in the HTTP binding of CloudEvents, signed by Standard Webhooks."""

from urllib.parse import quote

from services.webhooks.destinations.destination import Message, Response
from services.webhooks.endpoint_client import EndpointClient

_UNQUOTED = "".join(map(chr, range(0x21, 0x7F))).translate({ord('"'): None, ord("%"): None})
"""What a header may hold of an attribute as it is: printable ASCII without space, double quote and percent."""


class HttpsDestination:
    """An endpoint."""

    def __init__(self, client: EndpointClient, url: str) -> None:
        self._client, self._url = client, url

    async def send(self, message: Message) -> Response:
        """Post it."""
        attributes = {f"ce-{name}": quote(value, safe=_UNQUOTED) for name, value in message.attributes.items()}
        headers = {**attributes, "Content-Type": message.content_type, "User-Agent": "Cartmesh-Webhooks/1"}
        return await self._client.send(self._url, headers | message.signed, message.body)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()
