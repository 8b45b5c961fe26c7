"""Servers of SQS, SNS and Kafka in this process: moto's, and the mock cluster that librdkafka has for its own tests.

Both speak the real protocol over TCP. Neither is Amazon or Apache Kafka.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from confluent_kafka import Producer
from moto.server import ThreadedMotoServer

KEY, SECRET, REGION, ACCOUNT = "AKIATESTKEY000000000", "secret-access-key-of-tests", "eu-west-1", "123456789012"


class Cloud:
    """A server of SQS and SNS, and boto3's clients for it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        """A client of `sqs` or `sns`."""
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def queue(self, name: str, **attributes: str) -> tuple[str, str]:
        """The ARN and the URL of a new queue."""
        url = self.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}", url


@contextmanager
def opened_cloud() -> Iterator[Cloud]:
    """A server until the block ends."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Cloud(f"http://{host}:{port}")
    finally:
        server.stop()


@contextmanager
def opened_kafka() -> Iterator[str]:
    """A cluster of one broker, as `host:port`, until the block ends."""
    owner = Producer({"bootstrap.servers": "replaced", "test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = owner.list_topics(timeout=30).brokers.values()
    yield f"{broker.host}:{broker.port}"
    del owner
