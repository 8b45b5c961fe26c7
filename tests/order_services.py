"""The services that an order needs, on a region in memory, and the sandbox payment provider over real HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from mesh import Mesh
from mesh.broker.memory import MemoryMesh
from mesh.runtime.run import running
from services import checkout, fraud, orders, payments, promotions, stock
from services.demo.payment_provider.server import payment_provider
from services.orders import views

API_KEY, SECRET = "sk_test_0123456789abcdef", "whsec_0123456789abcdef"


@asynccontextmanager
async def order_services(region: MemoryMesh, folder: Path, setenv: Callable[[str, str], None]) -> AsyncIterator[Path]:
    """Run them in `us`, and set the addresses by which a shop finds them; yields the folder of the provider's books."""
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(payment_provider(folder, api_key=API_KEY, secrets=(SECRET,)))
        setenv("CARTMESH_URL_PAYMENT_PROVIDER", provider)
        setenv("CARTMESH_PAYMENT_PROVIDER_KEY", API_KEY)
        for one in (payments.service, fraud.service, checkout.service):
            await stack.enter_async_context(running(one, _mesh(region, stack, one.name)))
        for one in (stock.service, orders.service, views.service, promotions.service):
            run = await stack.enter_async_context(running(one, _mesh(region, stack, one.name), http=("127.0.0.1", 0)))
            name = one.name.upper().replace("-", "_")
            setenv(f"CARTMESH_URL_{name}", f"http://127.0.0.1:{run.port}")
        yield folder


def _mesh(region: MemoryMesh, stack: AsyncExitStack, name: str) -> Mesh:
    broker = region.broker("us")
    stack.push_async_callback(broker.drain)
    return Mesh(broker, name)
