"""`cartmesh functions test`: a file is tried with an event, in the process and with the bounds that it has at work."""

import json

import pytest

from mesh.errors import DeclarationError, InvalidEvent, TopologyError
from services.functions.cli import try_function
from services.functions.folder import EXAMPLE

ORDER = {
    "type": "order.confirmed.v1",
    "data": {"order_id": "o1", "lines": [], "total": {"amount": 4299, "currency": "EUR"}},
}


@pytest.fixture
def event(tmp_path, monkeypatch):
    """Write an event; functions have as long as a slow machine needs."""
    for patient in ("DEADLINE", "START_DEADLINE", "CPU"):
        monkeypatch.setenv(f"CARTMESH_FUNCTIONS_{patient}", "60s")

    def write(**changes):
        path = tmp_path / "event.json"
        path.write_text(json.dumps(ORDER | changes))
        return path

    return write


def test_what_a_function_would_publish_is_printed(event, capsys):
    """With what it logged and how long it took; the example of `cartmesh up` is one."""
    try_function(EXAMPLE, event())

    printed = capsys.readouterr().out
    assert printed.startswith("give_stamp: done, ")
    assert "INFO order o1 is worth 42" in printed
    assert 'publishes {"name":"stamp.given","key":"o1","data":{"worth":42}}' in printed


def test_a_function_that_fails_shows_where_and_ends_with_1(event, tmp_path, capsys):
    """Those whose filters do not match are skipped."""
    file = tmp_path / "fails.py"
    file.write_text(
        "from mesh.events.order import OrderConfirmed\nfrom mesh.function import function\n\n\n"
        "@function(on=OrderConfirmed)\ndef fail(confirmed):\n    return confirmed.nothing\n\n\n"
        '@function(on=OrderConfirmed, filter=[{"exact": {"subject": "o2"}}])\ndef skip(confirmed):\n    pass\n'
    )

    with pytest.raises(SystemExit) as ended:
        try_function(file, event(), json=True)

    failed, skipped = json.loads(capsys.readouterr().out)
    assert ended.value.code == 1
    assert failed["error"] == "AttributeError: 'OrderConfirmed' object has no attribute 'nothing' (line 7)"
    assert "return confirmed.nothing" in failed["trace"]
    assert (skipped["function"], skipped["outcome"]) == ("skip", "skipped")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"type": "order.eaten.v1"}, "'order.eaten.v1' is no event"),
        ({"data": {"order_id": "o1"}}, "order.confirmed.v1: Object missing required field `lines`"),
        ({"data": 7}, 'Write {"type": "order.placed.v1", "data": {...}}'),
    ],
)
def test_a_wrong_event_says_what_is_wrong(event, changes, said):
    """Before anything is started."""
    with pytest.raises(InvalidEvent) as wrong:
        try_function(EXAMPLE, event(**changes))

    assert said in str(wrong.value)


def test_a_wrong_file_says_what_is_wrong(event, tmp_path):
    """One that is not there, or that is not called for such an event."""
    cancelled = {"order_id": "o1", "lines": [], "amount": ORDER["data"]["total"], "left": [], "by": "shop"}
    data = cancelled | {"total": ORDER["data"]["total"]}
    with pytest.raises(TopologyError, match=r"nothing\.py"):
        try_function(tmp_path / "nothing.py", event())
    with pytest.raises(DeclarationError, match=r"give_stamp for order\.confirmed\.v1"):
        try_function(EXAMPLE, event(type="order.cancelled.v1", data=data))
