"""What the chart makes of a region's values."""

import json
import time
from pathlib import Path

import pytest
import yaml
from jsonschema import ValidationError

from mesh.service import Service
from mesh.topology.derive.services import deployed

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
    "console": {"hosts": ["console.shop.example.com"]},
    "networkPolicy": {"monitoring": [{"namespaceSelector": {}}], "clients": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
    "nats": {"tls": {"clientSecret": "nats-client"}},
    "image": {"digest": "sha256:" + 64 * "0", "pullSecrets": ["registry"]},
}


def labels(component=None):
    shared = {
        "helm.sh/chart": "cartmesh-0.1.0",
        "app.kubernetes.io/managed-by": "Helm",
        "app.kubernetes.io/version": "0.1.0",
        "app.kubernetes.io/part-of": "cartmesh",
        "cartmesh/region": "eu",
        "app.kubernetes.io/name": "cartmesh",
        "app.kubernetes.io/instance": "cartmesh",
    }
    return shared | ({"app.kubernetes.io/component": component} if component else {})


def pods(component):
    return {"matchLabels": {name: labels(component)[name] for name in labels(component) if name in SELECTED}}


SELECTED = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}


def environment(deployment):
    entries = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    names = [entry["name"] for entry in entries]
    assert sorted(set(names)) == sorted(names), "a variable is set twice"
    return {entry["name"]: entry.get("value") or entry["valueFrom"]["secretKeyRef"] for entry in entries}


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


def test_all_regions_are_rendered_and_judged_in_five_seconds(helm, validate):
    """Fast enough to be asked before every commit. The best of three: others may be at work on this machine."""

    def once():
        begun = time.monotonic()
        for region in REGIONS:
            ran = helm("template", "-f", str(ROOT / "deploy" / "regions" / f"{region}.yaml"))
            for found in filter(None, yaml.load_all(ran.stdout, yaml.CSafeLoader)):
                validate(found, NEWEST)
        return time.monotonic() - begun

    took = once()
    print(f"three regions rendered and judged in {took:.2f} s")
    assert took <= 5 or once() <= 5 or once() <= 5


def test_every_service_of_the_code_is_deployed(chart, copied):
    """One Deployment, budget and network policy for each service; a Service for those that speak HTTP."""
    known = json.loads((copied / "derived" / "mesh.json").read_text())["services"]

    made = chart()

    run = sorted(name for name, told in known.items() if told.get("enabled", True))
    for kind in ("Deployment", "PodDisruptionBudget", "NetworkPolicy"):
        assert run == made.names(kind)
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
    told = environment(made["Deployment", "loyalty-points"])
    assert told["CARTMESH_PORT_LOYALTY_POINTS"] == "8080"
    assert told["CARTMESH_LOYALTY_POINTS_PASSWORD"] == {"name": "cartmesh-passwords", "key": "loyalty-points"}


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


def test_a_deployment_is_what_it_should_be(chart):
    """Compared whole: nothing that is not meant, nothing that is missing."""
    made = chart(values={"settings": {"log_level": "DEBUG"}})["Deployment", "heartbeat"]

    probe = {"path": "/readyz", "port": "health"}
    assert made["spec"]["template"]["metadata"]["annotations"].keys() == {"cartmesh/mesh"}
    del made["spec"]["template"]["metadata"]["annotations"]
    assert made == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "cartmesh-heartbeat", "labels": labels("heartbeat")},
        "spec": {
            "replicas": 2,
            "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "selector": pods("heartbeat"),
            "template": {
                "metadata": {"labels": labels("heartbeat")},
                "spec": {
                    "serviceAccountName": "cartmesh",
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 10001,
                        "runAsGroup": 10001,
                        "fsGroup": 10001,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "terminationGracePeriodSeconds": 45,
                    "topologySpreadConstraints": [
                        {
                            "topologyKey": key,
                            "maxSkew": 1,
                            "whenUnsatisfiable": "ScheduleAnyway",
                            "matchLabelKeys": ["pod-template-hash"],
                            "labelSelector": pods("heartbeat"),
                        }
                        for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
                    ],
                    "containers": [
                        {
                            "name": "heartbeat",
                            "image": "ghcr.io/cartmesh/cartmesh:0.1.0",
                            "imagePullPolicy": "IfNotPresent",
                            "securityContext": {
                                "allowPrivilegeEscalation": False,
                                "readOnlyRootFilesystem": True,
                                "capabilities": {"drop": ["ALL"]},
                            },
                            "args": [
                                *("run", "heartbeat", "--region", "eu"),
                                *("--topology", "/etc/cartmesh/mesh/mesh.toml"),
                            ],
                            "ports": [{"name": "health", "containerPort": 8081}],
                            "env": [
                                {"name": "CARTMESH_HOST", "value": "0.0.0.0"},
                                {"name": "CARTMESH_HEALTH_PORT", "value": "8081"},
                                {"name": "CARTMESH_NATS_URL", "value": "tls://nats:4222"},
                                {"name": "CARTMESH_NATS_CA", "value": "/etc/cartmesh/ca/ca.crt"},
                                {
                                    "name": "CARTMESH_HEARTBEAT_PASSWORD",
                                    "valueFrom": {"secretKeyRef": {"name": "cartmesh-passwords", "key": "heartbeat"}},
                                },
                                {"name": "CARTMESH_LOG_LEVEL", "value": "DEBUG"},
                            ],
                            "startupProbe": {
                                "httpGet": probe,
                                "periodSeconds": 2,
                                "failureThreshold": 60,
                                "timeoutSeconds": 3,
                            },
                            "readinessProbe": {"httpGet": probe, "periodSeconds": 5, "timeoutSeconds": 3},
                            "livenessProbe": {
                                "httpGet": {"path": "/healthz", "port": "health"},
                                "periodSeconds": 10,
                                "timeoutSeconds": 5,
                                "failureThreshold": 6,
                            },
                            "resources": {
                                "requests": {"cpu": "100m", "memory": "128Mi"},
                                "limits": {"cpu": "2", "memory": "512Mi"},
                            },
                            "volumeMounts": [
                                {"name": "tmp", "mountPath": "/tmp"},
                                {"name": "mesh", "mountPath": "/etc/cartmesh/mesh", "readOnly": True},
                                {"name": "ca", "mountPath": "/etc/cartmesh/ca", "readOnly": True},
                            ],
                        }
                    ],
                    "volumes": [
                        {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
                        {"name": "mesh", "configMap": {"name": "cartmesh-mesh"}},
                        {
                            "name": "ca",
                            "secret": {"secretName": "nats-tls", "items": [{"key": "ca.crt", "path": "ca.crt"}]},
                        },
                    ],
                },
            },
        },
    }


def test_traces_go_where_they_are_sent(chart):
    """Variables that are not ours reach every service, and its policy lets it there."""
    rule = {"ports": [{"port": 4317}], "to": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]}
    made = chart(
        values={
            "environment": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"},
            "networkPolicy": {"egress": [rule]},
        }
    )

    for name in ("carts", "channels"):
        told = environment(made["Deployment", name])
        assert told["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4317"
        assert rule in made["NetworkPolicy", name]["spec"]["egress"]
    assert {"ports": [{"port": 587}]} in made["NetworkPolicy", "channels"]["spec"]["egress"]


def test_an_http_service_outlives_the_proxies_that_know_it(chart):
    """It goes on answering for some seconds after it was asked to end; one without HTTP has nobody to wait for."""
    made = chart()

    gateway = made["Deployment", "gateway"]["spec"]["template"]["spec"]["containers"][0]
    assert gateway["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert "lifecycle" not in made["Deployment", "carts"]["spec"]["template"]["spec"]["containers"][0]


def test_a_network_policy_is_what_it_should_be(chart):
    """Names, servers and what the service says it needs go out; nothing comes in but what is asked for."""
    made = chart(values={"networkPolicy": {"monitoring": [{"namespaceSelector": {}}]}})
    policy = made["NetworkPolicy", "channels"]

    assert policy == {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "cartmesh-channels", "labels": labels("channels")},
        "spec": {
            "podSelector": pods("channels"),
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"port": "health"}], "from": [{"namespaceSelector": {}}]}],
            "egress": [
                {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
                {
                    "ports": [{"port": 4222}],
                    "to": [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "nats"}}}],
                },
                {"ports": [{"port": 587}]},
            ],
        },
    }
    http = {"ports": [{"port": "http"}]}
    assert made["NetworkPolicy", "gateway"]["spec"]["ingress"] == [http, *policy["spec"]["ingress"]]
    assert chart()["NetworkPolicy", "gateway"]["spec"]["ingress"] == [http]
    proxies = [{"podSelector": {"matchLabels": {"app": "proxy"}}}]
    narrow = chart(values={"networkPolicy": {"clients": proxies}})["NetworkPolicy", "gateway"]["spec"]["ingress"]
    assert narrow == [{"ports": [{"port": "http"}], "from": [*proxies, {"podSelector": pods("test")}]}]
    assert chart()["NetworkPolicy", "channels"]["spec"]["ingress"] == []
    board = chart(values={"networkPolicy": {"clients": proxies}})["NetworkPolicy", "board"]["spec"]["ingress"]
    assert board == [], "what passes nothing on is for operators, who forward a port"


def test_operators_pages_stay_inside(chart, refusal):
    """The board has a Service inside the cluster and no way in from outside, unless somebody says what passes."""
    outside = {"ingress": {"enabled": True}, "gatewayApi": {"enabled": True, "parentRefs": [{"name": "public"}]}}
    made = chart(values=outside)

    assert made["Service", "board"]["spec"].get("type", "ClusterIP") == "ClusterIP"
    assert ("Ingress", "board") not in made
    assert ("HTTPRoute", "board") not in made
    assert "services.board.route.paths is empty" in refusal(
        {"services": {"board": {"route": {"hosts": ["board.shop.example.com"]}}}}
    )


def test_the_demo_shop_reaches_its_gateway(chart):
    """Enabled, it has a way in for shoppers and one out to where it tells what it sells."""
    shop = {"enabled": True, "route": {"hosts": ["tea.shop.example.com"]}}
    made = chart(values={"services": {"storefront": shop}, "ingress": {"enabled": True}})

    gateway = {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "gateway"}}}
    assert {"ports": [{"port": 8080}], "to": [gateway]} in made["NetworkPolicy", "storefront"]["spec"]["egress"]
    assert made["NetworkPolicy", "storefront"]["spec"]["ingress"] == [{"ports": [{"port": "http"}]}]
    paths = [path["path"] for path in made["Ingress", "storefront"]["spec"]["rules"][0]["http"]["paths"]]
    assert "/" not in paths
    assert "/metrics" not in paths
    assert "storefront" not in chart().names("Deployment")


def test_an_autoscaler_follows_cpu_and_the_leaders_count_of_waiting_messages(chart):
    """The lag is that of the service's own consumers; pods are then no longer counted in the Deployment."""
    values = {"services": {"channels": {"autoscaling": {"enabled": True, "max": 5, "lag": 1000}}}}
    made = chart(values=values)
    scaler = made["HorizontalPodAutoscaler", "channels"]
    durables = {"operator": "In", "values": ["channels-send-mail", "channels-show-card"]}

    assert scaler["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cartmesh-channels"},
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
            },
            {
                "type": "External",
                "external": {
                    "metric": {
                        "name": "cartmesh_consumer_lag_messages",
                        "selector": {"matchExpressions": [{"key": "durable"} | durables]},
                    },
                    "target": {"type": "AverageValue", "averageValue": "1000"},
                },
            },
        ],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 300}},
    }
    assert "replicas" not in made["Deployment", "channels"]["spec"]

    values["services"]["channels"]["autoscaling"]["lagMetric"] = "jetstream_consumer_num_pending"
    exported = chart(values=values)["HorizontalPodAutoscaler", "channels"]["spec"]["metrics"][1]["external"]
    assert exported["metric"] == {
        "name": "jetstream_consumer_num_pending",
        "selector": {
            "matchLabels": {"is_consumer_leader": "true"},
            "matchExpressions": [{"key": "consumer_name"} | durables],
        },
    }


def test_routes_pass_on_what_is_meant_for_the_outside(chart):
    """By Ingress or Gateway API; `/metrics` and health stay inside."""
    made = chart(values={"gatewayApi": {"enabled": True, "parentRefs": [{"name": "public", "namespace": "edge"}]}})

    assert made["Ingress", "gateway"]["spec"] == {
        "ingressClassName": "nginx",
        "tls": [{"secretName": "cartmesh-gateway-tls", "hosts": ["events.eu.shop.example.com"]}],
        "rules": [
            {
                "host": "events.eu.shop.example.com",
                "http": {
                    "paths": [
                        {
                            "path": path,
                            "pathType": "Prefix",
                            "backend": {"service": {"name": "cartmesh-gateway", "port": {"name": "http"}}},
                        }
                        for path in ("/v1", "/docs")
                    ]
                },
            }
        ],
    }
    assert made["HTTPRoute", "links"] == {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "cartmesh-links", "labels": labels("links")},
        "spec": {
            "parentRefs": [{"name": "public", "namespace": "edge"}],
            "hostnames": ["links.eu.shop.example.com"],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/unsubscribe"}}],
                    "backendRefs": [{"name": "cartmesh-links", "port": 80}],
                }
            ],
        },
    }


def test_the_consoles_pages_are_behind_one_ingress(chart, copied):
    """Each path leads to the service that declares the page; each knows the address, and nothing else is passed on."""
    host = "console.eu.shop.example.com"
    pages = {"console": {"hosts": [host]}, "gatewayApi": {"enabled": True, "parentRefs": [{"name": "public"}]}}
    path = copied / "derived" / "mesh.json"
    mesh = json.loads(path.read_text())
    mesh["services"]["board"]["pages"] = ["/board", "/queues"]
    path.write_text(json.dumps(mesh))

    made = chart(values=pages, folder=copied)

    def led(match, kind, name):
        backend = {"service": {"name": f"cartmesh-{name}", "port": {"name": "http"}}}
        return {"path": match, "pathType": kind, "backend": backend}

    routed = {"/board": "board", "/console": "console", "/documents": "documents", "/queues": "board"}
    assert made.names("Ingress") == ["gateway", "links", "pages"]
    assert made["Ingress", "pages"]["spec"] == {
        "ingressClassName": "nginx",
        "tls": [{"secretName": "cartmesh-console-tls", "hosts": [host]}],
        "rules": [
            {
                "host": host,
                "http": {
                    "paths": [
                        led("/", "Exact", "console"),
                        *(led(match, "Prefix", name) for match, name in routed.items()),
                    ]
                },
            }
        ],
    }
    assert made["HTTPRoute", "pages"]["spec"] == {
        "parentRefs": [{"name": "public"}],
        "hostnames": [host],
        "rules": [
            {
                "matches": [{"path": {"type": kind, "value": match}}],
                "backendRefs": [{"name": f"cartmesh-{name}", "port": 80}],
            }
            for kind, match, name in [
                ("Exact", "/", "console"),
                *(("PathPrefix", match, name) for match, name in routed.items()),
            ]
        ],
    }
    for name in ("board", "console"):
        (container,) = made["Deployment", name]["spec"]["template"]["spec"]["containers"]
        assert {"name": "CARTMESH_URL_CONSOLE", "value": f"https://{host}"} in container["env"]
        assert made["NetworkPolicy", name]["spec"]["ingress"] == [{"ports": [{"port": "http"}]}]


def test_the_consoles_ingress_is_merged_and_patched_like_the_releases_other_objects(chart):
    """A proxy wants annotations of its own for streams of events; a page left out has no path."""
    values = {
        "console": {"hosts": ["console.eu.shop.example.com"]},
        "merge": {"Ingress": {"metadata": {"annotations": {"nginx.ingress.kubernetes.io/proxy-buffering": "off"}}}},
        "services": {"board": {"enabled": False}},
    }

    ingress = chart(values=values)["Ingress", "pages"]

    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-buffering"] == "off"
    assert [one["path"] for one in ingress["spec"]["rules"][0]["http"]["paths"]] == ["/", "/console", "/documents"]
    assert [name for kind, name in chart() if kind == "Ingress"] == ["gateway", "links"]


def test_streams_are_applied_before_new_pods_start(chart):
    """A hook with the operator's password, and the topology it needs, before install and upgrade."""
    made = chart()
    job, topology = made["Job", "apply"], made["ConfigMap", "apply"]

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == ["mesh", "apply", "--region", "eu", "--file", "/etc/cartmesh/mesh/mesh.toml"]
    assert container["env"] == [
        {"name": "CARTMESH_NATS_URL_EU", "value": "tls://nats:4222"},
        {"name": "CARTMESH_NATS_CA", "value": "/etc/cartmesh/ca/ca.crt"},
        {
            "name": "CARTMESH_NATS_PASSWORD_EU",
            "valueFrom": {"secretKeyRef": {"name": "cartmesh-passwords", "key": "operator"}},
        },
    ]
    (check,) = job["spec"]["template"]["spec"]["initContainers"]
    assert check["args"][:2] == ["mesh", "check"]
    assert check["args"][-2:] == ["--folder", "/etc/cartmesh/before"]
    (before,) = [one for one in job["spec"]["template"]["spec"]["volumes"] if one["name"] == "before"]
    assert before["configMap"] == {
        "name": made["ConfigMap", "mesh"]["metadata"]["name"],
        "optional": True,
        "items": [{"key": "schemas.json", "path": "schemas.json"}],
    }
    assert "cart.updated.v1" in json.loads(made["ConfigMap", "mesh"]["data"]["schemas.json"])
    assert int(topology["metadata"]["annotations"]["helm.sh/hook-weight"]) < 0
    assert "[regions.eu]" in topology["data"]["mesh.toml"]
    assert "serviceAccountName" not in job["spec"]["template"]["spec"], "hooks run before it is there"


def test_streams_are_applied_again_and_again(chart):
    """The same container, with what the release has by then; a region that was not there is added."""
    made = chart()
    again, hook = made["CronJob", "apply"]["spec"], made["Job", "apply"]["spec"]["template"]["spec"]
    pod = again["jobTemplate"]["spec"]["template"]["spec"]

    assert (again["schedule"], again["concurrencyPolicy"]) == ("*/10 * * * *", "Forbid")
    assert pod["containers"] == hook["containers"]
    assert {"name": "mesh", "configMap": {"name": "cartmesh-mesh"}} in pod["volumes"]
    assert pod["serviceAccountName"] == "cartmesh"
    assert ("CronJob", "apply") not in chart(values={"apply": {"schedule": ""}})


def test_a_pod_monitor_finds_every_pod(chart):
    """By the labels that all of them have."""
    made = chart(values={"podMonitor": {"enabled": True, "labels": {"release": "prometheus"}}})

    assert made["PodMonitor", ""] == {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PodMonitor",
        "metadata": {"name": "cartmesh", "labels": labels() | {"release": "prometheus"}},
        "spec": {
            "selector": {
                "matchLabels": {"app.kubernetes.io/name": "cartmesh", "app.kubernetes.io/instance": "cartmesh"}
            },
            "podMetricsEndpoints": [{"port": "health", "path": "/metrics", "interval": "30s"}],
            "podTargetLabels": ["app.kubernetes.io/component", "cartmesh/region"],
        },
    }


def test_alarms_and_the_dashboard_are_those_of_the_code(chart, copied):
    """Off until they are wanted; then with the code's own words, which hold signs of the chart's language."""
    derived = copied / "derived"
    wanted = {"prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}}, "dashboard": {"enabled": True}}

    assert {kind for kind, _ in chart()} & {"PrometheusRule"} == set()
    assert chart().names("ConfigMap") == ["apply", "mesh"]
    made = chart(values=wanted)

    assert made["PrometheusRule", ""] == {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "cartmesh", "labels": labels() | {"release": "prometheus"}},
        "spec": json.loads((derived / "alerts.json").read_text()),
    }
    assert made["ConfigMap", "dashboard"] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cartmesh-dashboard", "labels": labels() | {"grafana_dashboard": "1"}},
        "data": {"cartmesh.json": (derived / "dashboard.json").read_text()},
    }
    assert json.loads(made["ConfigMap", "dashboard"]["data"]["cartmesh.json"])["uid"] == "cartmesh"


def test_nobody_misses_a_service_that_is_left_out(chart):
    """The alarm of its absence is left out with it."""
    made = chart(values={"prometheusRule": {"enabled": True}, "services": {"training": {"enabled": False}}})

    groups = made["PrometheusRule", ""]["spec"]["groups"]
    missed = {rule["labels"].get("service") for group in groups for rule in group["rules"]} - {None}
    assert sorted(missed) == made.names("Deployment")


def test_a_secret_is_only_ever_named(chart):
    """No Secret is made, and every password, key and token in an environment is a reference."""
    made = chart(values=EVERYTHING)

    assert made.names("Secret") == []
    for (kind, _), found in made.items():
        if kind == "Deployment":
            told = environment(found)
            plain = {name for name in told if any(word in name for word in ("PASSWORD", "SECRET", "WRITE_KEYS"))}
            assert [name for name in plain if isinstance(told[name], str)] == []


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


def test_a_service_can_be_left_out(chart):
    """Together with all that belongs to it."""
    made = chart(values={"services": {"heartbeat": {"enabled": False}}})

    assert [kind for kind, name in made if name == "heartbeat"] == []
