"""The command `cartmesh payment-provider`, which `cartmesh up` runs beside the mesh."""

import json
import os
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

import msgspec

from mesh.settings import read

if TYPE_CHECKING:
    import cyclopts

COMPANION = ("payment-provider", "--port", "0")
"""The command's arguments; `--dir` is added."""


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider that is started again must have as before: its port, its API key, its webhooks' secret."""

    port: int
    api_key: str
    secret: str


class GivenSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the services that ask it are given as well, where they are told before it runs (`PaymentSettings`).

    Without them it makes an API key and a secret of its own, and prints them.
    """

    payment_provider_key: str = ""
    payment_webhook_secrets: tuple[str, ...] = ()


def commands(app: "cyclopts.App") -> None:
    """Add `payment-provider`."""
    app.command(payment_provider, name="payment-provider")


def payment_provider(
    *,
    port: int = 8088,
    dir: Path = Path("payment-provider"),
    host: str = "127.0.0.1",
    seed: int = 0,
    usual_ports: bool = False,  # noqa: ARG001  companions are given it; nobody looks for this one by its port
) -> None:
    """Run the sandbox payment provider: books of its own, signed webhooks, and faults on demand (`PUT /faults`).

    Parameters
    ----------
    port
        Where it listens; 0 is any free port, and the same one when it is started again with its folder.
    dir
        Its folder: `charges.jsonl` (the books), its API key and the webhooks' addresses.
    host
        The address it listens on.
    seed
        Of what is random in its faults.
    usual_ports
        Makes no difference here.

    """
    import uvloop  # noqa: PLC0415  other commands need no server

    uvloop.run(_run(port, dir, host, seed))


async def _run(port: int, folder: Path, host: str, seed: int) -> None:
    from mesh.runtime.run import until_asked_to_stop  # noqa: PLC0415  other commands need no server
    from services.demo.payment_provider.server import payment_provider as running  # noqa: PLC0415

    kept, given = identity(folder, port), read(GivenSettings)
    api_key, secrets = given.payment_provider_key or kept.api_key, given.payment_webhook_secrets or (kept.secret,)
    with until_asked_to_stop() as stop:
        async with running(folder, api_key=api_key, secrets=secrets, host=host, port=kept.port, seed=seed) as url:
            environment = {
                "CARTMESH_URL_PAYMENT_PROVIDER": url,
                "CARTMESH_PAYMENT_PROVIDER_KEY": api_key,
                "CARTMESH_PAYMENT_WEBHOOK_SECRETS": ",".join(secrets),
            }
            print(json.dumps({"addresses": {"payment provider": url}, "environment": environment}), flush=True)
            await stop.wait()


def identity(folder: Path, port: int) -> Identity:
    """What the provider in this folder is; made where it is new, for its owner's eyes alone."""
    from mesh.runtime.ports import free_ports  # noqa: PLC0415  see above

    path = folder / "identity.json"
    if path.exists():
        kept = msgspec.json.decode(path.read_bytes(), type=Identity)
        return msgspec.structs.replace(kept, port=port or kept.port)
    folder.mkdir(parents=True, exist_ok=True)
    made = Identity(port=port or free_ports(1)[0], api_key=f"sk_{token_hex(16)}", secret=f"whsec_{token_hex(16)}")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(made))
    return made
