"""Accounts: streams in one, each service in one of its own, which reaches no more than its user may."""

import re
from itertools import combinations
from pathlib import Path

import pytest

from mesh.runtime.discovery import discover
from mesh.service import Service
from mesh.subjects import overlap
from mesh.topology.derive.accounts import SERVERS, STREAMS, accounts, broadest
from mesh.topology.derive.permissions import service_permissions
from mesh.topology.mesh_toml import Topology
from mesh.topology.secrets import COPIES, OPERATOR, Placeholders

TOPOLOGY = Topology.load(Path(__file__).parents[2] / "mesh.toml")
SERVICES = discover()
KNOWN = [service for service in SERVICES if not service.hosted and not service.resets_copies]
ACCOUNTS = accounts(TOPOLOGY, SERVICES, TOPOLOGY.region("us"), Placeholders())["accounts"]


def imported(account, kind):
    """What an account takes from others: (account, subject)."""
    return [tuple(one[kind].values()) for one in account.get("imports", ()) if kind in one]


def test_streams_are_in_an_account_without_services():
    """It alone has JetStream; its users are the operator, who answers servers that copy, and the links."""
    users = {name: [user["user"] for user in account["users"]] for name, account in ACCOUNTS.items()}

    expected = {SERVERS: ["sys"], STREAMS: [OPERATOR, COPIES, "leaf_eu", "leaf_ap"]} | {s.name: [s.name] for s in KNOWN}
    assert users == {
        account: [f"{user}{login}" for user in names for login in ("", ".next")] for account, names in expected.items()
    }
    assert [name for name, account in ACCOUNTS.items() if "jetstream" in account] == [STREAMS]


@pytest.mark.parametrize("service", KNOWN, ids=lambda service: service.name)
def test_a_service_imports_what_its_user_may_publish(service):
    """Nothing more, and nothing twice: two imports that overlap would each take a message."""
    taken = [subject for _, subject in imported(ACCOUNTS[service.name], "service")]
    allowed = service_permissions(service, "us", SERVICES, TOPOLOGY.layout, others=TOPOLOGY.others("us")).publish

    assert taken == broadest(allowed)
    assert [pair for pair in combinations(taken, 2) if overlap(*pair)] == []


def test_everything_imported_is_offered_to_its_importer_once():
    """A server refuses an import that nobody offers; two offers of a subject would leave open which one counts."""
    for importer, account in ACCOUNTS.items():
        for kind in ("service", "stream"):
            for owner, subject in imported(account, kind):
                offers = [one for one in ACCOUNTS[owner]["exports"] if kind in one and overlap(one[kind], subject)]
                assert [importer in one["accounts"] for one in offers] == [True], (importer, subject)


def test_requests_go_from_who_asks_to_who_answers():
    """The account that answers offers them to those who declare that they ask, and to the operator."""
    asking, answering, other = Service("asking", asks=("answering",)), Service("answering"), Service("other")

    @answering.answers
    async def double(question: int) -> int:
        return 2 * question

    topology = Topology.of(["us"])
    made = accounts(topology, [asking, answering, other], topology.region("us"), Placeholders())["accounts"]

    assert made["answering"]["exports"] == [{"service": "rpc.us.answering.>", "accounts": [STREAMS, "asking"]}]
    takes = [
        name for name, account in made.items() if ("answering", "rpc.us.answering.>") in imported(account, "service")
    ]
    assert takes == [STREAMS, "asking"]


def test_the_readme_names_the_services_that_read_personal_events():
    """In mesh/README.md; who may write where follows from what services declare (`tests/security`)."""
    allowed = {one.name: ACCOUNTS[one.name]["users"][0]["permissions"]["publish"]["allow"] for one in KNOWN}
    readers = {name for name, may in allowed.items() if "$JS.API.DIRECT.GET.PERSONAL_us" in may}
    text = (Path(__file__).parents[2] / "mesh" / "README.md").read_text(encoding="utf-8")

    [named] = re.findall(r"\| can, if personal data is its work \(([^)]*)\)", text)

    assert set(re.findall(r"`([^`]+)`", named)) == readers


def test_who_is_in_the_account_of_the_streams_reads_none_of_them():
    """What a service there reads, a server would send to any subject of the streams. How a stream is it may ask."""
    (service,) = (service for service in SERVICES if service.resets_copies)

    allowed = service_permissions(service, "us", SERVICES, TOPOLOGY.layout, others=TOPOLOGY.others("us")).publish

    reads = ("DIRECT.GET", "MSG.GET", "MSG.NEXT", "CONSUMER.CREATE", "API.STREAM")
    found = [subject for subject in allowed if any(one in subject for one in reads)]
    assert found == ["$JS.API.STREAM.INFO.COMMERCE_us"]
