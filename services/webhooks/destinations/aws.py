"""AWS: messages to a queue of SQS or a topic of SNS, by the same requests as to any HTTPS endpoint, signed for AWS.

The body is a CloudEvent in structured mode; content type, type, and the headers of Standard Webhooks are attributes. A
FIFO queue or topic gets the event's subject as message group and the event's id as deduplication id.
"""

from typing import Any

from mesh.aws import Arn, AwsKey, arn_of, signed, sns_request, sqs_request
from mesh.errors import DeclarationError
from mesh.web.endpoint_client import EndpointClient, Response
from services.webhooks.destinations.destination import Message


class AwsDestination:
    """A queue or a topic, by its ARN and the address of its service."""

    def __init__(self, client: EndpointClient, *, url: str, arn: str, key: AwsKey) -> None:
        self._client, self._url, self._arn, self._key = client, url, arn_of(arn), key

    async def send(self, message: Message) -> Response:
        """Send or publish. The answer to one that was refused says why."""
        described, body = _request(self._arn, self._url, message)
        url = f"{self._url.rstrip('/')}/"
        try:
            headers = signed(url, described, body, service=self._arn.service, region=self._arn.region, key=self._key)
        except DeclarationError as error:
            return Response(duration=0.0, error=str(error))
        return await self._client.send(url, headers, body)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _request(arn: Arn, endpoint: str, message: Message) -> tuple[dict[str, str], bytes]:
    texts = {"contentType": message.content_type, "ce_type": message.envelope.type, **message.signed}
    group = {"MessageGroupId": message.envelope.subject, "MessageDeduplicationId": message.id} if arn.fifo else {}
    if arn.service == "sqs":
        attributes: dict[str, Any] = {
            name: {"DataType": "String", "StringValue": value} for name, value in texts.items()
        }
        fields = {"QueueUrl": arn.queue_url(endpoint), "MessageBody": message.body.decode()}
        return sqs_request("SendMessage", {**fields, "MessageAttributes": attributes, **group})
    entries: dict[str, str] = {}
    for at, (name, value) in enumerate(texts.items(), start=1):
        entry = f"MessageAttributes.entry.{at}"
        entries |= {f"{entry}.Name": name, f"{entry}.Value.DataType": "String", f"{entry}.Value.StringValue": value}
    return sns_request("Publish", {"TopicArn": arn.text, "Message": message.body.decode(), **entries, **group})
