"""A push service over HTTPS, and a browser's subscription to it: decrypts what comes by RFC 8291, and checks RFC 8292.

Written from the two standards with the primitives of `cryptography`, and with nothing of what sends.
"""

import asyncio
import hashlib
import json
import ssl
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trustme
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CURVE = ec.SECP256R1()


def encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def derived(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=info).derive(secret)


class Browser:
    """A subscription: a key pair and a secret that the push service does not know."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint, self._key = endpoint, ec.generate_private_key(CURVE)
        self._auth = hashlib.sha256(endpoint.encode()).digest()[:16]

    @property
    def fields(self) -> dict[str, str]:
        return {
            "endpoint": self.endpoint,
            "p256dh": encoded(point(self._key.public_key())),
            "auth": encoded(self._auth),
        }

    def opened(self, body: bytes) -> dict[str, Any]:
        """The message in a body (RFC 8188 section 2.1, RFC 8291 section 3.4)."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        sender, record = body[21 : 21 + length], body[21 + length :]
        assert len(record) <= size
        own = point(self._key.public_key())
        shared = self._key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(CURVE, sender))
        secret = derived(self._auth, shared, b"WebPush: info\0" + own + sender, 32)
        key = derived(salt, secret, b"Content-Encoding: aes128gcm\0", 16)
        nonce = derived(salt, secret, b"Content-Encoding: nonce\0", 12)
        plain = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\0")
        assert plain[-1] == 2  # the last record ends so
        return json.loads(plain[:-1])


@dataclass
class PushService:
    """What came to it: path, headers (in lower case) and body; `answer` gives the status for a path."""

    port: int = 0
    came: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[str], int] = lambda _: 201

    def subscribe(self, name: str) -> Browser:
        return Browser(f"https://localhost:{self.port}/push/{name}")

    def claims(self, authorization: str, public: str) -> dict[str, Any]:
        """What a request proves of its sender (RFC 8292)."""
        token, _, key = authorization.removeprefix("vapid t=").partition(", k=")
        assert key == public
        head, claims, signature = token.split(".")
        raw = decoded(signature)
        made = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
        checker = ec.EllipticCurvePublicKey.from_encoded_point(CURVE, decoded(key))
        checker.verify(made, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
        assert json.loads(decoded(head))["alg"] == "ES256"
        return json.loads(decoded(claims))


@asynccontextmanager
async def push_service(authority: trustme.CA) -> AsyncIterator[PushService]:
    """The service, until the block ends."""
    service = PushService()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                path, headers = line.split()[1].decode(), {}
                while (one := (await reader.readline()).decode().rstrip()) != "":
                    name, _, value = one.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers["content-length"]))
                service.came.append((path, headers, body))
                writer.write(f"HTTP/1.1 {service.answer(path)} Said\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server = await asyncio.start_server(serve, "localhost", 0, ssl=context)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        server.close()
