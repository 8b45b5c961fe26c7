"""AWS: requests to SQS and SNS, signed with Signature Version 4 by botocore, and sent by whoever has a connection.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/Welcome.html (JSON protocol) and
https://docs.aws.amazon.com/sns/latest/api/Welcome.html (query protocol). `mesh/decisions/0055` says why only the
signature is botocore's.
"""

import re
from typing import Any
from urllib.parse import urlencode

import msgspec

from mesh.extras import load

_is_arn = re.compile(
    r"arn:(aws|aws-cn|aws-us-gov):(sqs|sns):([a-z]{2}(?:-[a-z]+)+-\d):(\d{12}):([A-Za-z0-9_-]{1,251}(?:\.fifo)?)",
    re.ASCII,
).fullmatch


class Arn(msgspec.Struct, frozen=True, kw_only=True):
    """The name of a queue or topic. `service` is `sqs` or `sns`."""

    text: str
    partition: str
    service: str
    region: str
    account: str
    name: str

    @property
    def fifo(self) -> bool:
        """Whether it keeps the order of each message group."""
        return self.name.endswith(".fifo")

    @property
    def endpoint(self) -> str:
        """The address of its service in its region."""
        return endpoint_of(self.service, self.region)

    def queue_url(self, endpoint: str) -> str:
        """A queue as requests name it."""
        return f"{endpoint.rstrip('/')}/{self.account}/{self.name}"


class AwsKey(msgspec.Struct, frozen=True, kw_only=True):
    """An access key. `token` is that of a session, where it has one."""

    id: str
    secret: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"AwsKey(id={self.id!r})"


def endpoint_of(service: str, region: str) -> str:
    """The address of a service in a region."""
    return f"https://{service}.{region}.{'amazonaws.com.cn' if region.startswith('cn-') else 'amazonaws.com'}"


def arn_of(text: str) -> Arn:
    """The parts of an ARN. Raises ValueError."""
    found = _is_arn(text)
    if found is None:
        raise ValueError("the ARN of a queue or topic, such as arn:aws:sqs:eu-west-1:123456789012:orders.fifo")
    partition, service, region, account, name = found.groups()
    return Arn(text=text, partition=partition, service=service, region=region, account=account, name=name)


def sqs_request(action: str, fields: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    """Headers and body of a call of SQS, not signed yet."""
    described = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
    return described, msgspec.json.encode(fields)


def sns_request(action: str, fields: dict[str, str]) -> tuple[dict[str, str], bytes]:
    """Headers and body of a call of SNS, not signed yet."""
    described = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return described, urlencode({"Action": action, "Version": "2010-03-31", **fields}).encode()


def signed(url: str, headers: dict[str, str], body: bytes, *, service: str, region: str, key: AwsKey) -> dict[str, str]:
    """The headers of a POST with its signature, which is valid for some minutes. Raises DeclarationError."""
    request = load("aws", "awsrequest").AWSRequest(method="POST", url=url, data=body, headers=headers)
    credentials = load("aws", "credentials").Credentials(key.id, key.secret, key.token)
    load("aws", "auth").SigV4Auth(credentials, service, region).add_auth(request)
    return dict(request.headers.items())
