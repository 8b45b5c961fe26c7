"""What `check` refuses and what it only warns of, for services and events made here."""

from types import new_class

import msgspec
import pytest

from mesh.binding import Binding
from mesh.errors import DeclarationError
from mesh.event import Event, _by_kind, _by_name, _by_type, declaration_of, declared, event
from mesh.events.cart import CartUpdated
from mesh.events.interaction import ProductViewed
from mesh.events.mesh import SERVICE_REPORTS
from mesh.events.order import OrderPlaced
from mesh.runtime.discovery import discover
from mesh.service import Service
from mesh.streams import Bucket
from mesh.topology.check import OPERATOR_PUBLISHES, Committed, check
from mesh.topology.derive.schemas import broken, contract, schemas
from mesh.topology.mesh_toml import Topology

MESH = Topology.of(nodes=1)


def all_published(*but):
    """A service that publishes every event but these and those of the operator's commands and of every service."""
    left_out = {*but, *OPERATOR_PUBLISHES, *SERVICE_REPORTS}
    return Service(
        "speaker", publishes=tuple(warnings.kind for warnings in declared() if warnings.kind not in left_out)
    )


def listener(name="listener", handler="award_points", **options):
    made = Service(name)

    async def award_points(happened: OrderPlaced):
        yield happened

    award_points.__name__ = handler
    made.on(OrderPlaced, **options)(award_points)
    return made


def test_sound_declarations_have_no_errors():
    """Every event with one writer, handlers with names of their own."""
    assert check(MESH, [all_published(), listener()]).errors == []


def test_an_event_without_a_writer_is_refused():
    """The error says how to give it one."""
    [error] = check(MESH, [all_published(OrderPlaced)]).errors

    assert error.startswith("order.placed.v1 has no writer: name OrderPlaced in some service's publishes")


def test_an_event_with_two_writers_is_refused():
    """The error names both."""
    [error] = check(MESH, [all_published(), Service("other", publishes=(OrderPlaced,))]).errors

    assert error.startswith("order.placed.v1 has 2 writers, speaker and other")


def test_events_that_no_service_consumes_are_one_note():
    """They are kept for people, models and the record: nothing to be warned of each time."""
    report = check(MESH, [all_published(), listener()])

    [note] = report.notes
    assert "events are stored and consumed by no service: " in note
    assert "cart.updated.v1" in note
    assert "order.placed.v1" not in note
    assert report.warnings == []


def test_the_declarations_of_this_repository_have_no_warnings():
    """A warning that is always there would hide the next one."""
    report = check(MESH, discover(), Committed())

    assert (report.errors, report.warnings) == ([], [])


def test_two_pages_of_one_path_are_refused():
    """One address leads to one service."""
    one, other = Service("one"), Service("other")
    one.page("/stock", title="Stock", role="viewer")(list)
    other.page("/stock", title="Shelves", role="viewer")(list)

    [error] = check(MESH, [all_published(), one, other]).errors

    assert error.startswith("/stock is the page of one and other: give each page a path of its own")


def test_two_handlers_of_one_name_are_refused():
    """They would share a durable and steal each other's messages."""
    twice = listener()
    twice.bindings.append(twice.bindings[0])

    [error] = check(MESH, [all_published(), twice]).errors

    assert error.startswith("listener-award-points is bound 2 times to COMMERCE")


@pytest.mark.parametrize("name", ["operator", "sys", "leaf_us", "SHOP", "SYS"])
def test_the_meshs_own_users_and_accounts_are_taken(name):
    """A service of that name would be the operator, the system or a link, or share the account of the streams."""
    [error] = check(MESH, [all_published(), Service(name)]).errors

    assert "that name belongs to the mesh itself" in error


def test_asking_nobody_is_refused():
    """A request to a service that is not there would never be answered."""
    [error] = check(MESH, [all_published(), Service("shop", asks=("oracle",))]).errors

    assert error.startswith("shop asks 'oracle', which is no service")


def test_one_bucket_of_two_types_is_refused():
    """Two services that mean different things by one bucket would read each other's values."""
    one, other = Service("one", buckets=(Bucket("b", dict),)), Service("other", buckets=(Bucket("b", list),))

    [error] = check(MESH, [all_published(), one, other]).errors

    assert error.startswith("'b' is declared twice, as a bucket of builtins.dict")


@pytest.mark.parametrize(
    "kind", [ProductViewed, next(declaration.kind for declaration in declared() if declaration.personal)]
)
def test_what_stays_in_its_region_is_not_consumed_mesh_wide(kind):
    """Personal events and interactions are in no other region: a handler would wait for ever."""
    deaf = listener()
    deaf.bindings[:] = [Binding(service="deaf", handler=deaf.bindings[0].handler, kinds=(kind,), reach="mesh")]

    [error] = check(MESH, [all_published(), deaf]).errors

    assert 'reach="mesh" would receive nothing' in error


@pytest.mark.parametrize(
    ("domains", "named"),
    [
        ('["delivery"]', ["function_call: ", "[streams.deliveries] in mesh.toml"]),
        ('["delivery", "function_call"]', []),
        ('["stock"]', ["delivery: ", "function_call: ", "copied = false"]),
    ],
)
def test_a_mesh_toml_of_before_functions_is_told_what_to_add(domains, named):
    """What services note of their own work would be copied everywhere: the domain and the line to write are named."""
    text = f"[regions.eu]\n[streams.deliveries]\ndomains = {domains}\nkeep = '8d'\ncopied = false\n"

    warnings = " ".join(check(Topology.parse(text), [all_published()]).warnings)

    assert [words for words in named if words not in warnings] == []
    assert bool(warnings) == bool(named)


def test_a_renamed_handler_is_a_migration():
    """The durable that was there is named, in every region."""
    before = Committed(consumers={"us": {"COMMERCE_us": {"listener-give-points": {}, "listener-award-points": {}}}})

    warnings = [w for w in check(MESH, [all_published(), listener()], before).warnings if "migration" in w]

    assert len(warnings) == 1
    assert warnings[0].startswith("listener-give-points on COMMERCE_us is no longer declared")


def test_a_handler_named_by_its_cause_is_warned_of():
    """`handle_x` says nothing of the effect."""
    warnings = check(MESH, [all_published(), listener(handler="handle_order")]).warnings

    assert any("names its cause" in warning for warning in warnings)


def test_the_same_contract_is_not_broken():
    """What was committed is what is declared."""
    assert broken(schemas(), schemas()) == {}


def test_an_event_that_was_removed_is_warned_of():
    """Stored ones could no longer be read."""
    before = Committed(schemas={"cart.burnt.v1": {"key": "k", "personal": False, "schema": {}}})

    report = check(MESH, [all_published()], before)

    assert "cart.burnt.v1 is no longer declared: stored ones can no longer be read" in report.warnings


class Part(msgspec.Struct):
    size: int


class PartWithMore(msgspec.Struct):
    size: int
    colour: str | None = None


class PartWithout(msgspec.Struct):
    colour: str | None = None


def contract_of(fields, *, key="thing_id", personal=False):
    """The contract of an event with these fields, declared and forgotten again."""
    body = {"__module__": "mesh.events.thing", "__doc__": "A thing."}
    body["__annotations__"] = {name: hint for name, hint, *_ in fields}
    body |= {name: default for name, _, *rest in fields for default in rest}
    kind = new_class("Thing", (Event,), {"frozen": True, "kw_only": True}, lambda namespace: namespace.update(body))
    try:
        event(key=key, personal=personal)(kind)
        return contract(declaration_of(kind))
    finally:
        _by_type.pop("thing.thing.v1", None)
        _by_name.pop("thing.thing", None)
        _by_kind.pop(kind, None)


BEFORE = [("thing_id", str), ("size", int), ("note", str | None, None), ("parts", tuple[Part, ...], ())]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (BEFORE, None),
        ([*BEFORE, ("colour", str, "red")], None),
        ([*BEFORE, ("colour", str)], "field colour was added without a default"),
        (BEFORE[:1] + BEFORE[2:], "field size was removed"),
        ([BEFORE[0], ("size", str), *BEFORE[2:]], 'field size changed its type from {"type":"integer"}'),
        ([*BEFORE[:2], ("note", str), BEFORE[3]], "field note"),
        ([*BEFORE[:3], ("parts", tuple[PartWithMore, ...], ())], None),
        ([*BEFORE[:3], ("parts", tuple[PartWithout, ...], ())], "field parts[].size was removed"),
    ],
)
def test_only_optional_fields_may_join(fields, said):
    """Anything else needs a new version; what is nested is looked into."""
    found = broken({"thing.thing.v1": contract_of(BEFORE)}, {"thing.thing.v1": contract_of(fields)})

    reasons = found.get("thing.thing.v1", [])
    assert bool(reasons) == bool(said)
    assert said is None or said in "; ".join(reasons)


def test_key_and_reach_are_part_of_the_contract():
    """Another key is another subject; personal data that was stored to travel cannot be called back."""
    now = contract_of(BEFORE, key="note", personal=True)

    [reasons] = broken({"t.v1": contract_of(BEFORE)}, {"t.v1": now}).values()

    assert reasons == ["key was 'thing_id' and is 'note'", "personal was False and is True"]


def test_a_broken_contract_says_which_version_comes_next():
    """The error of `check` ends in what to do."""
    before = schemas()
    before[declaration_of(CartUpdated).type]["schema"]["$defs"]["CartUpdated"]["properties"]["weight"] = {
        "type": "integer"
    }

    [error] = check(MESH, [all_published()], Committed(schemas=before)).errors

    assert error == (
        "cart.updated.v1: field weight was removed. Stored events stay as they are: "
        "declare version=2 with an upcast from version 1"
    )


def package(folder, name, **modules):
    (folder / name).mkdir()
    for module, text in {"__init__": "", **modules}.items():
        (folder / name / f"{module}.py").write_text(text)


def test_services_are_found_by_their_line(tmp_path, monkeypatch):
    """Modules with a line `name = Service(` are imported and no others; sub-packages too."""
    line = "from mesh.service import Service\n{name} = Service('{name}')\n"
    package(tmp_path, "finding", bakery=line.format(name="bakery"), heavy="raise RuntimeError('imported')\n")
    package(tmp_path / "finding", "inner", anvil=line.format(name="anvil"), again="from finding.bakery import bakery\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    assert [service.name for service in discover(["finding"])] == ["anvil", "bakery"]


def test_two_services_of_one_name_are_refused(tmp_path, monkeypatch):
    """The error names both modules."""
    line = "from mesh.service import Service\nservice = Service('bakery')\n"
    package(tmp_path, "doubled", one=line, other=line)
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(DeclarationError, match=r"two services are called 'bakery': doubled\.one and doubled\.other"):
        discover(["doubled"])
