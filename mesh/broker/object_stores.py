"""Object stores: values too large for one message, kept in parts by nats-py (ADR-20)."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nats.errors import Error
from nats.js.errors import BucketNotFoundError, NotFoundError, ObjectNotFoundError
from nats.js.errors import Error as JetStreamError

from mesh.broker.connection import Connection
from mesh.errors import Unavailable
from mesh.streams import ObjectStore


class ObjectStores:
    """A region's object stores over one connection; the methods are Broker's `object_...`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.region = connection.login.region

    async def put(self, object_store: ObjectStore, name: str, value: bytes) -> None:
        """Store an object; see Broker."""
        with _errors(self.region, object_store):
            store = await self.connection.client.jetstream().object_store(object_store.name)
            await store.put(name, value)

    async def get(self, object_store: ObjectStore, name: str) -> bytes | None:
        """An object, or None; see Broker."""
        with _errors(self.region, object_store):
            store = await self.connection.client.jetstream().object_store(object_store.name)
            try:
                return (await store.get(name)).data
            except ObjectNotFoundError:
                return None

    async def delete(self, object_store: ObjectStore, name: str) -> None:
        """Remove an object; see Broker."""
        with _errors(self.region, object_store):
            store = await self.connection.client.jetstream().object_store(object_store.name)
            with suppress(ObjectNotFoundError):
                await store.delete(name)

    async def names(self, object_store: ObjectStore) -> list[str]:
        """Names in an object store; see Broker."""
        with _errors(self.region, object_store):
            store = await self.connection.client.jetstream().object_store(object_store.name)
            try:
                return sorted(info.name for info in await store.list() if not info.deleted)
            except NotFoundError:
                return []


@contextmanager
def _errors(region: str, object_store: ObjectStore) -> Iterator[None]:
    try:
        yield
    except BucketNotFoundError as error:
        raise Unavailable(
            f"{region}: there is no object store {object_store.name}: run `cartmesh mesh apply`"
        ) from error
    except (JetStreamError, Error, OSError, TimeoutError) as error:
        raise Unavailable(f"{region}: object store {object_store.name}: {error or type(error).__name__}") from error
