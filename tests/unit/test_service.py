"""A service is declared by a file; everything the server needs is derived from it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mesh.envelope import Received
from mesh.errors import DeclarationError, InvalidKey
from mesh.event import Event
from mesh.events.cart import CartIdle, CartUpdated
from mesh.events.customer import CustomerIdentified
from mesh.events.interaction import ProductViewed
from mesh.events.offer import OfferDue
from mesh.events.order import OrderPlaced
from mesh.mesh import Mesh
from mesh.parameters import fill
from mesh.service import Service
from mesh.streams import ConsumerSpec


@pytest.fixture
def service():
    return Service("loyalty", publishes=(OfferDue,))


async def award_points(idle: CartIdle):
    """One point for patience."""
    yield OfferDue(run_id=idle.cart_id, cart_id=idle.cart_id, journey="j", abandonment_id="a", attempt=1)


async def test_a_handler_stays_a_plain_function(service):
    """`@on` returns the function itself, so it is tested without a broker."""
    bound = service.on(CartIdle)(award_points)

    assert bound is award_points
    assert [change async for change in bound(CartIdle(cart_id="c1", update_id="u"))] == [
        OfferDue(run_id="c1", cart_id="c1", journey="j", abandonment_id="a", attempt=1)
    ]


def test_durable_filter_and_summary_follow_from_the_handler(service):
    """`<service>-<handler>`, the events' subjects in the region, the docstring's first line."""
    service.on(CartIdle, CartUpdated, ack_wait=timedelta(seconds=5))(award_points)
    (binding,) = service.bindings

    (spec,) = binding.consumers("us")

    assert spec == ConsumerSpec(
        stream="COMMERCE_us",
        durable="loyalty-award-points",
        filters=("ev.us.cart.idle.*", "ev.us.cart.updated.*"),
        ack_wait=timedelta(seconds=5),
        max_ack_pending=1000,
    )
    assert (binding.summary, spec.description) == ("One point for patience.",) * 2
    assert not binding.wants_received


def test_events_of_several_streams_are_several_consumers(service):
    """Interactions and commerce have streams of their own, and so have their durables."""

    async def count(happened: ProductViewed | CartIdle) -> None:
        """Count."""

    service.on(ProductViewed, CartIdle)(count)

    specs = service.bindings[0].consumers("eu")

    assert {spec.stream: spec.filters for spec in specs} == {
        "INTERACTIONS_eu": ("ev.eu.interaction.product_viewed.*",),
        "COMMERCE_eu": ("ev.eu.cart.idle.*",),
    }


def test_the_whole_mesh_is_the_own_stream_and_the_copy_of_the_others(service):
    """`reach="mesh"` binds to the region's write stream and to MESH, where only other regions' events are."""
    service.on(CartIdle, reach="mesh")(award_points)

    assert service.bindings[0].filters("eu") == {
        "COMMERCE_eu": ("ev.eu.cart.idle.*",),
        "MESH_eu": ("ev.*.cart.idle.*",),
    }
    assert [(spec.stream, spec.durable) for spec in service.bindings[0].consumers("eu")] == [
        ("COMMERCE_eu", "loyalty-award-points"),
        ("MESH_eu", "loyalty-award-points"),
    ]


def test_personal_events_are_consumed_in_their_region_alone(service):
    """No link carries them: binding to the whole mesh is refused, and their own commerce stream has them."""

    async def welcome(identified: CustomerIdentified) -> None:
        """Welcome."""

    with pytest.raises(DeclarationError, match=r"customer\.identified\.v1 is personal"):
        service.on(CustomerIdentified, reach="mesh")(welcome)

    service.on(CustomerIdentified)(welcome)
    assert service.bindings[0].filters("us") == {"PERSONAL_us": ("pii.us.customer.identified.*",)}


def test_a_fanout_has_no_durable(service):
    """Every replica receives everything for itself."""
    service.on(CartIdle, fanout=True)(award_points)

    assert service.bindings[0].consumers("us") == []


def test_a_batch_handler_takes_a_list(service):
    """With `batch` the first parameter is a list; else the declaration is refused."""

    async def learn(viewed: list[Received[ProductViewed]]) -> None:
        """Learn."""

    service.on(ProductViewed, batch=256)(learn)

    (binding,) = service.bindings
    assert (binding.batch, binding.wants_received) == (256, True)
    assert binding.consumers("us")[0].max_ack_pending == 1024
    with pytest.raises(DeclarationError, match=r"loyalty\.award_points takes batches: annotate list"):
        service.on(CartIdle, batch=10)(award_points)


def test_a_handler_may_ask_for_what_is_known_of_the_event(service):
    """`Received[...]` brings id, times and place."""

    async def note(idle: Received[CartIdle]) -> None:
        """Note."""

    service.on(CartIdle)(note)

    assert service.bindings[0].wants_received


def test_a_handler_without_annotation_is_refused(service):
    """What it takes must be said."""

    async def guess(happened) -> None:
        """Guess."""

    async def nothing() -> None:
        """Take nothing."""

    for handler in (guess, nothing):
        with pytest.raises(DeclarationError, match="annotate its first parameter"):
            service.on(CartIdle)(handler)


def test_on_needs_declared_events(service):
    """None, or one that nobody declared, is refused at import."""

    class CartPainted(Event):
        """A cart was painted."""

        cart_id: str

    with pytest.raises(DeclarationError, match="at least one event"):
        service.on()
    with pytest.raises(DeclarationError, match="CartPainted is not declared"):
        service.on(CartPainted)


@pytest.mark.parametrize("name", ["", "two words", "a.b", "*", "x" * 129])
def test_a_service_has_a_legal_name(name):
    """Its name becomes part of subjects and durables."""
    with pytest.raises(InvalidKey, match="service name"):
        Service(name)


def test_a_service_knows_its_module(service):
    """Its first docstring line is its summary in the catalogue."""
    assert service.module == __name__
    assert service.summary == __doc__.partition("\n")[0]


def test_ticks_and_answers_are_derived_too(service):
    """`@every` and `@answers` name themselves after their functions."""

    async def sweep_up(tick: datetime) -> None:
        """Sweep."""

    async def score_cart(idle: CartIdle) -> OfferDue:
        """Score."""
        return OfferDue(run_id=idle.cart_id, cart_id=idle.cart_id, journey="j", abandonment_id="a", attempt=1)

    assert service.every(timedelta(minutes=1))(sweep_up) is sweep_up
    assert service.answers(score_cart) is score_cart

    assert (service.ticks[0].name, service.ticks[0].period) == ("sweep-up", timedelta(minutes=1))
    assert (service.answered[0].question, service.answered[0].answer) == (CartIdle, OfferDue)
    assert service.answered[0].subject("us") == "rpc.us.loyalty.score-cart"


def test_an_answer_says_what_it_returns(service):
    """Without a return annotation nobody could decode it."""

    async def score(idle: CartIdle):
        """Score."""

    with pytest.raises(DeclarationError, match="annotate what it returns"):
        service.answers(score)


class Till:
    """A resource."""


def test_resources_are_known_by_their_type(service):
    """An async generator that yields once; anything else is refused."""

    async def open_till() -> AsyncIterator[Till]:
        """Open."""
        yield Till()

    async def no_generator() -> Till:
        """Return."""
        return Till()

    service.resource(open_till)

    assert service.resources == {Till: open_till}
    with pytest.raises(DeclarationError, match="an async generator"):
        service.resource(no_generator)


def test_parameters_are_filled_by_type():
    """Behind the event, every parameter gets what provides its type."""
    till, mesh = Till(), object()

    async def sell(idle: CartIdle, mesh: Mesh, register: Till) -> None:
        """Sell."""

    assert fill(sell, {Mesh: mesh, Till: till}) == {"mesh": mesh, "register": till}


def test_what_nobody_provides_is_named():
    """The message names parameter and type, and what there is."""

    async def sell(idle: CartIdle, register: Till) -> None:
        """Sell."""

    with pytest.raises(DeclarationError, match=r"sell\(register: .*Till.*nothing provides that; there is Mesh"):
        fill(sell, {Mesh: object()})


def test_a_resource_that_may_be_missing_fills_a_parameter_that_may_be_none(service):
    """The shop has a server before an interface where that is configured, and None where it is not."""

    def build(idle: CartIdle, spec: ConsumerSpec | None) -> None:
        """Build."""

    assert fill(build, {ConsumerSpec | None: None}) == {"spec": None}
    with pytest.raises(DeclarationError, match=r"ConsumerSpec \| None"):
        fill(build, {ConsumerSpec: None})


def test_what_is_wanted_of_a_handler_are_some_of_its_kinds(service):
    """Others are an error, a durable of which nothing is wanted has a filter that nothing matches, and all is kept."""
    service.on(CartIdle, CartUpdated, as_wanted=True)(award_points)
    binding = service.bindings[-1]
    (whole,) = binding.consumers("us")

    (some,) = binding.narrowed([CartUpdated], "us")
    (none,) = binding.narrowed([], "us")

    assert (some.filters, none.filters) == (("ev.us.cart.updated.*",), ("ev.us.cart.idle.~",))
    assert {replace(one, filters=whole.filters) for one in (some, none)} == {whole}
    with pytest.raises(DeclarationError, match="does not take OrderPlaced"):
        binding.narrowed([OrderPlaced], "us")
    with pytest.raises(DeclarationError, match="takes all of its events"):
        service.on(CartIdle, fanout=True, as_wanted=True)(award_points)


def test_only_a_projection_is_kept_by_one_server(service):
    """What cannot be done again from the beginning keeps its place on as many servers as its stream."""
    with pytest.raises(DeclarationError, match="one_copy needs projects"):
        service.on(CartIdle, one_copy=True)(award_points)
