"""SQS: messages of a queue, deleted once they are stored; one that comes from a topic of SNS is unwrapped."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import SplitResult, unquote

import httpx
import msgspec

from mesh.aws import Arn, AwsKey, arn_of, signed, sqs_request
from mesh.extras import load
from mesh.translate import Take
from services.connect.brokers.messages import foreign

TOGETHER, WAIT = 10, 20
"""Messages of one answer, and seconds for which the queue is asked to wait for the first."""
DEADLINE = 30.0


def opened(
    url: SplitResult, options: dict[str, str], mapping: str
) -> tuple[str, Callable[[Take], Coroutine[Any, Any, None]]]:
    """Where messages come from, in words, and what fetches them. Raises ValueError."""
    host = url.netloc.rpartition("@")[2]
    named = host.split(".")
    region = options.get("region") or (named[1] if host.startswith("sqs.") and len(named) > 2 else "")
    parts = url.path.strip("/").split("/")
    if len(parts) != 2 or not region:
        raise ValueError(
            "the address is sqs://sqs.<region>.amazonaws.com/<account>/<queue>, else with ?region=<region>"
        )
    arn = arn_of(f"arn:aws:sqs:{region}:{parts[0]}:{parts[1]}")
    load("aws")
    endpoint = f"{'http' if url.scheme == 'sqs+http' else 'https'}://{host}"
    key = AwsKey(id=unquote(url.username), secret=unquote(url.password or "")) if url.username else None

    async def run(take: Take) -> None:
        async with httpx.AsyncClient(timeout=DEADLINE) as http:
            await _fetch(_Queue(http, endpoint, arn, key), mapping, take)

    return f"queue {arn.name}", run


class _Queue:
    """Calls of one queue."""

    def __init__(self, http: httpx.AsyncClient, endpoint: str, arn: Arn, key: AwsKey | None) -> None:
        self._http, self._endpoint, self._arn, self._key = http, endpoint, arn, key

    async def call(self, action: str, **fields: Any) -> dict[str, Any]:
        """The answer to a call. Raises ConnectionError with what the service says."""
        described, body = sqs_request(action, {"QueueUrl": self._arn.queue_url(self._endpoint), **fields})
        key = self._key or await asyncio.to_thread(_key_of_role)
        url = f"{self._endpoint}/"
        headers = signed(url, described, body, service="sqs", region=self._arn.region, key=key)
        answer = await self._http.post(url, content=body, headers=headers)
        if answer.status_code != 200:
            raise ConnectionError(f"SQS answered {answer.status_code}: {answer.text[:200]}")
        return msgspec.json.decode(answer.content) if answer.content else {}


async def _fetch(queue: _Queue, mapping: str, take: Take) -> None:
    """Take messages until the queue cannot be asked, which raises."""
    while True:
        answer = await queue.call(
            "ReceiveMessage", MaxNumberOfMessages=TOGETHER, WaitTimeSeconds=WAIT, MessageAttributeNames=["All"]
        )
        await asyncio.gather(*(_settle(queue, one, mapping, take) for one in answer.get("Messages", [])))


async def _settle(queue: _Queue, message: dict[str, Any], mapping: str, take: Take) -> None:
    attributes = message.get("MessageAttributes", {})
    headers = {name: value.get("StringValue", "") for name, value in attributes.items()}
    await take(foreign(mapping, _unwrapped(message.get("Body", "")), headers, None))
    await queue.call("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])


def _unwrapped(body: str) -> bytes:
    """The message in a notification of SNS, else the body."""
    with suppress(msgspec.DecodeError, RecursionError):
        found = msgspec.json.decode(body)
        if isinstance(found, dict) and found.get("Type") == "Notification" and isinstance(found.get("Message"), str):
            body = found["Message"]
    return body.encode("utf-8", "surrogatepass")


def _key_of_role() -> AwsKey:
    """The key that the process has by its environment or role, which is renewed where it must be."""
    found = _session().get_credentials()
    if found is None:
        raise ConnectionError("no key of AWS: write one into the address, or give the process a role")
    frozen = found.get_frozen_credentials()
    return AwsKey(id=frozen.access_key, secret=frozen.secret_key, token=frozen.token)


@cache
def _session() -> Any:
    return load("aws", "session").get_session()
