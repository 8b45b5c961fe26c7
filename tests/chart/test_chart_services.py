"""Which services the chart deploys."""

import json

from mesh.service import Service
from mesh.topology.derive.services import deployed
from tests.chart.objects import environment


def test_every_service_of_the_code_is_deployed(chart, copied):
    """One Deployment, budget and network policy for each service; a Service for those that speak HTTP."""
    known = json.loads((copied / "derived" / "mesh.json").read_text())["services"]

    made = chart()

    run = sorted(name for name, facts in known.items() if facts.get("enabled", True))
    for kind in ("Deployment", "PodDisruptionBudget", "NetworkPolicy"):
        assert run == [name for name in made.names(kind) if name != "apply"]
    assert [name for name in run if known[name]["http"]] == made.names("Service")


def test_a_new_service_appears_without_touching_the_chart(chart, copied):
    """What the code declares is all that it takes."""
    path = copied / "derived" / "mesh.json"
    mesh = json.loads(path.read_text())
    mesh["services"]["loyalty-points"] = {"http": True, "durables": ["loyalty-points-award"]}
    path.write_text(json.dumps(mesh))

    made = chart(values={"services": {"loyalty-points": {"autoscaling": {"enabled": True, "lag": 50}}}}, folder=copied)

    there = [kind for kind, name in made if name == "loyalty-points"]
    assert sorted(there) == [
        "Deployment",
        "HorizontalPodAutoscaler",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
    ]
    variables = environment(made["Deployment", "loyalty-points"])
    assert variables["CARTMESH_PORT_LOYALTY_POINTS"] == "8080"
    assert variables["CARTMESH_LOYALTY_POINTS_PASSWORD"] == {"name": "cartmesh-passwords", "key": "loyalty-points"}


def test_a_demo_runs_only_where_the_values_say_so(chart, copied):
    """It is left out like any service that is not enabled, and switched on like one."""
    path = copied / "derived" / "mesh.json"
    mesh = json.loads(path.read_text())
    showcase = Service("showcase", demo=True)
    showcase.http(lambda: None)
    mesh["services"]["showcase"] = deployed([showcase])["showcase"]
    path.write_text(json.dumps(mesh))

    left_out = chart(folder=copied)
    enabled = chart(values={"services": {"showcase": {"enabled": True}}}, folder=copied)

    assert [kind for kind, name in left_out if name == "showcase"] == []
    there = sorted(kind for kind, name in enabled if name == "showcase")
    assert there == ["Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"]
    assert left_out.names("Deployment") == [name for name in enabled.names("Deployment") if name != "showcase"]


def test_a_service_can_be_left_out(chart):
    """Together with all that belongs to it."""
    made = chart(values={"services": {"heartbeat": {"enabled": False}}})

    assert [kind for kind, name in made if name == "heartbeat"] == []


def test_nobody_misses_a_service_that_is_left_out(chart):
    """The alarm of its absence is left out with it."""
    made = chart(values={"prometheusRule": {"enabled": True}, "services": {"training": {"enabled": False}}})

    groups = made["PrometheusRule", ""]["spec"]["groups"]
    missed = {rule["labels"].get("service") for group in groups for rule in group["rules"]} - {None}
    assert sorted(missed) == made.names("Deployment")
