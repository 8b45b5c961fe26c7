"""Alerts and dashboards follow from the declarations, and Prometheus's own tools agree with them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import generate_latest

import mesh.events
from mesh.cli import app
from mesh.observability.metrics import (
    ACK_PENDING,
    DEAD,
    DELAY,
    EVENTS,
    HANDLED,
    HANDLING,
    LAG,
    NODES,
    NODES_UP,
    OUTDATED,
    PUBLISH_RETRIES,
    REQUESTING,
    REQUESTS,
    RUNNING,
    STALENESS,
)
from mesh.runtime.discovery import discover
from mesh.runtime.local_servers import LocalServers
from mesh.runtime.server_monitor import page
from mesh.topology.derive.alerts import alerts
from mesh.topology.derive.dashboards import dashboard
from mesh.topology.derive.helm import yaml
from mesh.topology.derive.nats_exporter import DELIVERY_P99, HTTP_P99
from mesh.topology.mesh_toml import Topology

AVAILABLE = 'kubelet_volume_stats_available_bytes{persistentvolumeclaim="nats-js-nats-0"}'
VOLUME = {'kubelet_volume_stats_capacity_bytes{persistentvolumeclaim="nats-js-nats-0"}': "100+0x20"}
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian's package prometheus)")
MINUTE = "1m"


def _store(used: str) -> dict[str, str]:
    most = 'nats_varz_jetstream_config_max_storage{pod="nats-0"}'
    return {'nats_varz_jetstream_stats_storage{pod="nats-0"}': used, most: "100+0x20"}


def _stream(*, quota: str) -> dict[str, str]:
    of = 'stream_name="MESH_eu"'
    return {f"nats_stream_total_bytes{{{of}}}": "90+0x40", f"nats_stream_limit_bytes{{{of}}}": quota}


def _links(connected: str) -> dict[str, str]:
    return {'nats_leafz_conn_nodes_total{namespace="eu",pod="nats-0"}': connected}


@pytest.fixture(scope="module")
def services():
    assert mesh.events
    return discover()


def test_every_command_that_an_alert_names_exists(services):
    """Whoever is woken up types it as it stands there."""
    rules = [rule for group in alerts(services)["groups"] for rule in group["rules"] if "alert" in rule]
    advice = [rule["annotations"]["description"] for rule in rules]
    named = [words for text in advice for words in re.findall(r"`cartmesh ([^`]+)`", text)]

    assert sum(text.count("cartmesh ") for text in advice) == len(named) > 5, "each stands in backticks"
    for words in named:
        command = app()
        for word in words.split():
            assert word in [*command], f"cartmesh {words}"
            command = command[word]
        assert command.default_command is not None, f"cartmesh {words} is a group of commands"


def promtool(*arguments, **more):
    done = subprocess.run([PROMTOOL, *map(str, arguments)], capture_output=True, text=True, check=False, **more)
    return done.returncode, done.stdout + done.stderr


def written(folder: Path, services) -> Path:
    rules = folder / "alerts.yaml"
    rules.write_text(yaml(alerts(services)))
    return rules


def test_every_service_has_a_row_and_somebody_who_misses_it(services):
    """A service that is declared is on the board and in the rules, without touching either; a demo may be missing."""
    rows = [panel["title"] for panel in dashboard(services)["panels"] if panel["type"] == "row"]
    missed = [rule["labels"].get("service") for group in alerts(services)["groups"] for rule in group["rules"]]

    assert rows == ["The mesh", "The servers", *(service.name for service in services)]
    assert [name for name in missed if name] == [
        service.name for service in services if service.needs_process and not service.demo
    ]


def test_panels_lie_beside_each_other(services):
    """No panel covers another, none leaves the page, and ids are unique."""
    panels = dashboard(services)["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_boards_and_rules_speak_of_figures_that_exist(services):
    """Every metric in an expression is one that the code declares: a renamed one fails here, not on call."""
    import ml.lifecycle.retraining
    import ml.lifecycle.serving_models
    from notifications.mail_reports import PAUSED
    from services.lake.lake_metrics import FAILED
    from services.promotions.code_lists import EXHAUSTED
    from services.stock.auditor import VIOLATIONS

    known = {metric._name for metric in (EVENTS, HANDLED, PUBLISH_RETRIES, REQUESTS)}
    known = {f"{name}_total" for name in known}
    known |= {
        metric._name
        for metric in (
            OUTDATED,
            DEAD,
            LAG,
            NODES,
            NODES_UP,
            ACK_PENDING,
            RUNNING,
            STALENESS,
            ml.lifecycle.serving_models.SERVES,
            VIOLATIONS,
            EXHAUSTED,
            FAILED,
            PAUSED,
        )
    }
    known |= {ml.lifecycle.retraining.PSI._name, ml.lifecycle.retraining.CALIBRATION_ERROR._name}
    known |= {f"{metric._name}_bucket" for metric in (DELAY, HANDLING, REQUESTING)}
    words = json.dumps([alerts(services)["groups"], dashboard(services)["panels"]])

    recorded = {rule["record"] for group in alerts(services)["groups"] for rule in group["rules"] if "record" in rule}
    used = {word for word in _words(words) if word.startswith("cartmesh_")} - recorded

    assert used - known == set()


async def test_figures_of_the_servers_are_what_the_tested_server_reports(services, tmp_path):
    """The exporter passes on every number of `/varz`; of the other pages it has names of its own."""
    named = {"nats_leafz_conn_nodes_total", "nats_routez_num_routes"}
    named |= {"nats_stream_total_bytes", "nats_stream_limit_bytes"}
    used = {word for word in _words(json.dumps([alerts(services), dashboard(services)])) if word.startswith("nats_")}

    async with LocalServers(Topology.of(["us"], nodes=1), tmp_path) as servers:
        host, _, port = servers.monitor("us-1").removeprefix("http://").partition(":")
        reported = await page(host, int(port), "/varz")

    numbers = set(_numbers(reported, "nats_varz"))
    assert len(used) > 10
    assert used - named - numbers == set()


def _numbers(values, prefix):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _numbers(value, f"{prefix}_{name}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}_{name}"


@needs_promtool
def test_promtool_accepts_the_rules(services, tmp_path):
    """Expressions parse, and no rule is doubled."""
    code, out = promtool("check", "rules", written(tmp_path, services))

    assert code == 0, out


@needs_promtool
def test_names_follow_prometheus_conventions():
    """Units, suffixes and help texts are as Prometheus's own linter wishes."""
    HANDLED.labels("d", "done")
    lint = promtool("check", "metrics", input=_ours(generate_latest().decode()))

    assert lint[0] == 0, lint[1]


@needs_promtool
@pytest.mark.parametrize(
    ("alert", "series", "at", "labels", "expected"),
    [
        (
            "CartmeshRegionStale",
            {'cartmesh_region_staleness_seconds{region="eu"}': "1 1 +Inf +Inf +Inf"},
            "4m",
            {"region": "eu"},
            True,
        ),
        ("CartmeshRegionStale", {'cartmesh_region_staleness_seconds{region="eu"}': "1+0x10"}, "10m", {}, False),
        ("CartmeshRegionSilent", {'cartmesh_nodes_up{region="eu"}': "3 3 _ _ _ _ _ _ _ _ _ _"}, "12m", {}, True),
        ("CartmeshRegionSilent", {'cartmesh_nodes_up{region="eu"}': "3+0x12"}, "12m", {}, False),
        (
            "CartmeshDiskFills",
            VOLUME | {AVAILABLE: "10+0x20"},
            "15m",
            {"persistentvolumeclaim": "nats-js-nats-0"},
            True,
        ),
        (
            "CartmeshDiskFills",
            VOLUME | {AVAILABLE: "20+0x20"},
            "15m",
            {"persistentvolumeclaim": "nats-js-nats-0"},
            False,
        ),
        ("CartmeshApplyFails", {'kube_job_status_failed{job_name="cartmesh-apply-29"}': "1+0x20"}, "18m", {}, True),
        ("CartmeshApplyFails", {'kube_job_status_failed{job_name="other-apply-1"}': "1+0x20"}, "18m", {}, False),
        (
            "CartmeshBackupOld",
            {'kube_cronjob_status_last_successful_time{cronjob="cartmesh-backup"}': "0+0x3000"},
            "2400m",
            {},
            True,
        ),
        (
            "CartmeshCertificateExpires",
            {'certmanager_certificate_expiration_timestamp_seconds{name="nats-tls"}': "600000+0x90"},
            "70m",
            {"name": "nats-tls"},
            True,
        ),
        ("CartmeshServersUnseen", {'nats_varz_mem{pod="nats-0"}': "9 9 _ _ _ _ _ _ _ _ _ _"}, "25m", {}, True),
        ("CartmeshServersUnseen", {'nats_varz_mem{pod="nats-0"}': "9+0x30"}, "25m", {}, False),
        ("CartmeshStoreFills", _store("86+0x20"), "15m", {"pod": "nats-0"}, True),
        ("CartmeshStoreFills", _store("84+0x20"), "15m", {}, False),
        ("CartmeshStreamAtQuota", _stream(quota="100+0x40"), "35m", {"stream_name": "MESH_eu"}, True),
        ("CartmeshStreamAtQuota", _stream(quota="-1+0x40"), "35m", {}, False),
        ("CartmeshLinkLost", _links("2x10 1x30"), "30m", {"namespace": "eu"}, True),
        ("CartmeshLinkLost", _links("2x40"), "30m", {}, False),
        (
            "CartmeshSlowConsumer",
            {'nats_varz_slow_consumers{pod="nats-0"}': "0x5 1x20"},
            "10m",
            {"pod": "nats-0"},
            True,
        ),
        ("CartmeshSlowConsumer", {'nats_varz_slow_consumers{pod="nats-0"}': "7x30"}, "25m", {}, False),
        ("CartmeshDeadLetters", {'cartmesh_dead_letters{region="eu"}': "0 0 1 1"}, "3m", {"region": "eu"}, True),
        ("CartmeshDeadLetters", {'cartmesh_dead_letters{region="eu"}': "7 7 0 0 0"}, "4m", {}, False),
        (
            "CartmeshNodeDown",
            {'cartmesh_nodes{region="eu",pod="a"}': "3x9", 'cartmesh_nodes_up{region="eu",pod="a"}': "3 2 2 2 2 2"},
            "5m",
            {"region": "eu"},
            True,
        ),
        (
            "CartmeshNodeDown",
            {'cartmesh_nodes{region="eu",pod="a"}': "3x9", 'cartmesh_nodes_up{region="eu",pod="a"}': "3 2 3 3 3 3"},
            "5m",
            {},
            False,
        ),
        (
            "CartmeshHandlerFails",
            {
                'cartmesh_handled_messages_total{durable="d",outcome="failed"}': "0+10x30",
                'cartmesh_handled_messages_total{durable="d",outcome="done"}': "0+90x30",
            },
            "20m",
            {"durable": "d"},
            True,
        ),
        (
            "CartmeshHandlerFails",
            {
                'cartmesh_handled_messages_total{durable="d",outcome="failed"}': "0+1x30",
                'cartmesh_handled_messages_total{durable="d",outcome="done"}': "0+99x30",
            },
            "20m",
            {},
            False,
        ),
        (
            "CartmeshConsumerBehind",
            {
                'cartmesh_consumer_lag_messages{stream="COMMERCE_eu",durable="d",pod="a"}': "20000x30",
                'cartmesh_consumer_lag_messages{stream="COMMERCE_eu",durable="d",pod="b"}': "20000x30",
            },
            "15m",
            {"stream": "COMMERCE_eu", "durable": "d"},
            True,
        ),
        (
            "CartmeshConsumerBehind",
            {'cartmesh_consumer_lag_messages{stream="COMMERCE_eu",durable="d"}': "20000x3 0x20"},
            "15m",
            {},
            False,
        ),
        (
            "CartmeshDeliveryLate",
            {
                'cartmesh_delivery_delay_seconds_bucket{durable="d",le="30"}': "0x30",
                'cartmesh_delivery_delay_seconds_bucket{durable="d",le="300"}': "0+10x30",
                'cartmesh_delivery_delay_seconds_bucket{durable="d",le="+Inf"}': "0+10x30",
            },
            "20m",
            {"durable": "d"},
            True,
        ),
        (
            "CartmeshStoreRetries",
            {'cartmesh_publish_retries_total{stream="COMMERCE_eu"}': "0+600x30"},
            "15m",
            {"stream": "COMMERCE_eu"},
            True,
        ),
        (
            "CartmeshHttpErrors",
            {
                'cartmesh_http_requests_total{service="gateway",status="503"}': "0+5x30",
                'cartmesh_http_requests_total{service="gateway",status="202"}': "0+95x30",
            },
            "15m",
            {"service": "gateway"},
            True,
        ),
        (
            "CartmeshHttpErrors",
            {'cartmesh_http_requests_total{service="gateway",status="429"}': "0+50x30"},
            "15m",
            {},
            False,
        ),
        (
            "CartmeshServiceAbsent",
            {'cartmesh_service_running{service="gateway"}': "1 0 0 0 0 0"},
            "5m",
            {"service": "gateway"},
            True,
        ),
        (
            "CartmeshOffersNotSent",
            {'cartmesh_events_total{type="offer.decided.v1",outcome="approved"}': "0+1x60"},
            "50m",
            {},
            True,
        ),
        (
            "CartmeshOffersNotSent",
            {
                'cartmesh_events_total{type="offer.decided.v1",outcome="approved"}': "0+1x60",
                'cartmesh_events_total{type="offer.sent.v1"}': "0+1x60",
            },
            "50m",
            {},
            False,
        ),
        (
            "CartmeshModelDrifted",
            {'cartmesh_model_drift_psi{model="propensity"}': "0.4x90"},
            "80m",
            {"model": "propensity"},
            True,
        ),
        ("CartmeshStockViolated", {'cartmesh_stock_violations{region="us"}': "0 1"}, "1m", {"region": "us"}, True),
        ("CartmeshStockViolated", {'cartmesh_stock_violations{region="us"}': "0 0"}, "1m", {}, False),
        ("CartmeshCodesExhausted", {'cartmesh_code_lists_exhausted{region="us"}': "0 1"}, "1m", {"region": "us"}, True),
        ("CartmeshCodesExhausted", {'cartmesh_code_lists_exhausted{region="us"}': "1 0"}, "1m", {}, False),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("Cartmesh") else "",
)
def test_an_alert_fires_when_it_should(services, tmp_path, alert, series, at, labels, expected):
    """`promtool test rules`: each alert fires for its cause, and stays silent for what only looks like it."""
    every = [rule | {"annotations": {}} for group in alerts(services)["groups"] for rule in group["rules"]]
    chosen = [
        rule for rule in every if rule.get("alert") == alert and rule["labels"].get("service") in (None, "gateway")
    ]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "one", "rules": chosen}]}))
    fired = [{"exp_labels": labels | {"severity": chosen[0]["labels"]["severity"]}}] if expected else []
    given = [{"series": name, "values": values} for name, values in series.items()]
    test = {"eval_time": at, "alertname": alert, "exp_alerts": fired}
    tests = [{"interval": MINUTE, "input_series": given, "alert_rule_test": [test]}]
    (tmp_path / "tests.json").write_text(json.dumps({"rule_files": ["rules.json"], "tests": tests}))

    code, out = promtool("test", "rules", tmp_path / "tests.json")

    assert code == 0, out


@needs_promtool
def test_what_autoscalers_follow_is_recorded(services, tmp_path):
    """The 99th percentile of each service's answers, and of each durable's waiting, under names without functions."""
    groups = [group for group in alerts(services)["groups"] if group["name"] == "cartmesh-latency"]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": groups}))
    of = 'namespace="shop",{},le="{}"'
    given = [
        {"series": f"{name}_bucket{{{of.format(whose, le)}}}", "values": f"0+{count}x20"}
        for name, whose in (
            ("cartmesh_http_request_seconds", 'service="gateway",route="/"'),
            ("cartmesh_delivery_delay_seconds", 'durable="carts-idle"'),
        )
        for le, count in (("0.5", 0), ("1", 100), ("+Inf", 100))
    ]
    expected = [
        (HTTP_P99, '{__name__="cartmesh_http_request_seconds_p99",namespace="shop",service="gateway"}'),
        (DELIVERY_P99, '{__name__="cartmesh_delivery_delay_seconds_p99",namespace="shop",durable="carts-idle"}'),
    ]
    asked = [
        {"expr": name, "eval_time": "15m", "exp_samples": [{"labels": labels, "value": 0.995}]}
        for name, labels in expected
    ]
    tests = [{"interval": MINUTE, "input_series": given, "promql_expr_test": asked}]
    (tmp_path / "tests.json").write_text(json.dumps({"rule_files": ["rules.json"], "tests": tests}))

    code, out = promtool("test", "rules", tmp_path / "tests.json")

    assert code == 0, out


def _words(text):
    return "".join(sign if sign.isalnum() or sign == "_" else " " for sign in text).split()


def _ours(text):
    """The mesh's own metrics, without the times of creation that the client adds for OpenMetrics."""
    lines = [line for line in text.splitlines() if "cartmesh_" in line and "_created" not in line]
    return "\n".join(lines) + "\n"
