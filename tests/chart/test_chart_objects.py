"""What the chart makes of a region's values: valid objects, one set for each service."""

from pathlib import Path

import pytest
import yaml
from jsonschema import ValidationError

from tests.chart.objects import environment

ROOT = Path(__file__).parents[2]
REGIONS = ("us", "eu", "ap")
OLDEST, NEWEST = "1.30", "1.37"
CUSTOM = {"HTTPRoute", "PodMonitor", "PrometheusRule"}
"""Kinds that come with the cluster's add-ons: Kubernetes has no schema for them."""

EVERYTHING = {
    "defaults": {"autoscaling": {"enabled": True, "lag": 1000}, "nodeSelector": {"disk": "fast"}},
    "gatewayApi": {"enabled": True, "parentRefs": [{"name": "public"}]},
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True},
    "dashboard": {"enabled": True},
    "toolbox": {"enabled": True},
    "backup": {"schedule": "15 3 * * *", "claim": "backups", "secret": {"secret": "backup", "key": "key"}},
    "console": {"hosts": ["console.shop.example.com"]},
    "networkPolicy": {"monitoring": [{"namespaceSelector": {}}], "clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
    "nats": {"tls": {"clientSecret": "nats-client"}},
    "image": {"digest": "sha256:" + 64 * "0", "pullSecrets": ["registry"]},
}


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("region", REGIONS)
def test_every_object_of_every_region_is_valid(chart, validate, region, version):
    """Kubernetes' own schema takes each object as it is, from the oldest supported version to the newest."""
    for values in ({}, EVERYTHING):
        made = chart(region, values)

        for (kind, _), found in made.items():
            if kind not in CUSTOM:
                validate(found, version)
            assert found["metadata"]["labels"]["cartmesh/region"] == region


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_what_kubernetes_would_not_take_is_found(chart, validate, version):
    """A field that does not exist, or of another kind: the schemas are strict."""
    container = "/spec/template/spec/containers/0"
    for path, value in ((f"{container}/imagePulPolicy", "Always"), (f"{container}/ports/0/containerPort", "http")):
        patch = {"Deployment": [{"op": "add", "path": path, "value": value}]}
        made = chart(values={"services": {"carts": {"patch": patch}}})

        with pytest.raises(ValidationError):
            validate(made["Deployment", "carts"], version)


def test_the_oldest_version_is_the_one_the_chart_names(copied):
    """What is tested is what is promised."""
    assert yaml.safe_load((copied / "Chart.yaml").read_text())["kubeVersion"] == f">={OLDEST}.0-0"


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_with_its_own_values_is_valid(helm, validate, region):
    """Everything that is made of the values that this repository holds for it."""
    ran = helm("template", "-f", str(ROOT / "deploy" / "regions" / f"{region}.yaml"))

    found = list(filter(None, yaml.load_all(ran.stdout, yaml.CSafeLoader)))
    assert found
    for one in found:
        validate(one, NEWEST)


def test_a_secret_is_only_ever_named(chart):
    """No Secret is made, and every password, key and token in an environment is a reference."""
    made = chart(values=EVERYTHING)

    assert made.names("Secret") == []
    for (kind, _), found in made.items():
        if kind == "Deployment":
            variables = environment(found)
            plain = {name for name in variables if any(word in name for word in ("PASSWORD", "SECRET", "WRITE_KEYS"))}
            assert [name for name in plain if isinstance(variables[name], str)] == []


def test_a_secret_reaches_those_alone_who_need_it(chart):
    """Named once for a region, each of the secret settings stands in the environment of few services."""
    made = chart()
    held = {
        name: {
            variable
            for variable in environment(found)
            if variable in ("CARTMESH_SECRET", "CARTMESH_ADDRESS_SECRET", "CARTMESH_WEBHOOK_SIGNING_SECRET")
        }
        for (kind, name), found in made.items()
        if kind == "Deployment"
    }

    assert {name: variables for name, variables in held.items() if variables} == {
        "channels": {"CARTMESH_SECRET", "CARTMESH_ADDRESS_SECRET"},
        "gateway": {"CARTMESH_ADDRESS_SECRET"},
        "identity": {"CARTMESH_ADDRESS_SECRET"},
        "links": {"CARTMESH_SECRET"},
        "mail-reports": {"CARTMESH_SECRET", "CARTMESH_ADDRESS_SECRET"},
        "offers": {"CARTMESH_SECRET", "CARTMESH_ADDRESS_SECRET"},
        "orders": {"CARTMESH_ADDRESS_SECRET"},
        "studio": {"CARTMESH_ADDRESS_SECRET"},
        "webhooks": {"CARTMESH_WEBHOOK_SIGNING_SECRET"},
    }
    assert environment(made["Deployment", "links"])["CARTMESH_SECRET"] == {
        "name": "cartmesh-passwords",
        "key": "settings.secret",
    }


def test_what_has_no_knob_can_be_merged_and_patched(chart):
    """`merge` for maps, JSON patches for lists: of one service's objects, or of the release's."""
    values = {
        "services": {
            "carts": {
                "merge": {
                    "Deployment": {"spec": {"paused": True, "template": {"spec": {"priorityClassName": "high"}}}}
                },
                "patch": {
                    "Deployment": [
                        {
                            "op": "add",
                            "path": "/spec/template/spec/containers/0/env/-",
                            "value": {"name": "TZ", "value": "UTC"},
                        },
                        {"op": "replace", "path": "/spec/template/spec/containers/0/ports/0/containerPort", "value": 1},
                        {"op": "remove", "path": "/spec/template/spec/topologySpreadConstraints/1"},
                        {"op": "add", "path": "/metadata/labels/a~1b", "value": "c"},
                        {"op": "remove", "path": "/spec/strategy"},
                    ]
                },
            }
        },
        "patch": {"ServiceAccount": [{"op": "add", "path": "/metadata/annotations", "value": {"role": "shop"}}]},
    }
    plain, made = chart(), chart(values=values)
    before, after = plain["Deployment", "carts"], made["Deployment", "carts"]

    pod = before["spec"]["template"]["spec"]
    before["spec"]["paused"] = True
    pod["priorityClassName"] = "high"
    pod["containers"][0]["env"].append({"name": "TZ", "value": "UTC"})
    pod["containers"][0]["ports"][0]["containerPort"] = 1
    del pod["topologySpreadConstraints"][1]
    before["metadata"]["labels"]["a/b"] = "c"
    del before["spec"]["strategy"]
    assert before == after
    assert made["ServiceAccount", ""]["metadata"]["annotations"] == {"role": "shop"}
    assert plain["Deployment", "offers"] == made["Deployment", "offers"]
