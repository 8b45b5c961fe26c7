"""A service's Deployment, its autoscaler and its network policy."""

from mesh.runtime.discovery import discover
from tests.chart.objects import environment, labels, pods


def test_a_deployment_is_what_it_should_be(chart):
    """Compared whole: nothing that is not meant, nothing that is missing."""
    made = chart(values={"settings": {"log_level": "DEBUG"}})["Deployment", "heartbeat"]

    probe = {"path": "/readyz", "port": "health"}
    assert made["spec"]["template"]["metadata"]["annotations"].keys() == {"cartmesh/mesh", "cartmesh/secrets"}
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
                                {"name": "CARTMESH_SMS_PROVIDER", "value": "twilio"},
                                {
                                    "name": "CARTMESH_PUSH_PUBLIC_KEY",
                                    "valueFrom": {
                                        "secretKeyRef": {"name": "cartmesh-settings", "key": "push-public-key"}
                                    },
                                },
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
        variables = environment(made["Deployment", name])
        assert variables["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector:4317"
        assert rule in made["NetworkPolicy", name]["spec"]["egress"]
    assert {"ports": [{"port": 587}]} in made["NetworkPolicy", "channels"]["spec"]["egress"]


def test_an_http_service_outlives_the_proxies_that_know_it(chart):
    """It goes on answering for some seconds after it was asked to end; one without HTTP has nobody to wait for."""
    made = chart()

    gateway = made["Deployment", "gateway"]["spec"]["template"]["spec"]["containers"][0]
    assert gateway["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert "lifecycle" not in made["Deployment", "carts"]["spec"]["template"]["spec"]["containers"][0]


def test_an_autoscaler_follows_latency_and_the_leaders_count_of_waiting_messages(chart):
    """The lag is that of the service's own consumers; pods are then no longer counted in the Deployment."""
    values = {"services": {"channels": {"autoscaling": {"enabled": True, "max": 5, "lag": 1000}}}}
    made = chart(values=values)
    scaler = made["HorizontalPodAutoscaler", "channels"]
    (channels,) = (one for one in discover() if one.name == "channels")
    durables = {"operator": "In", "values": [binding.durable for binding in channels.bindings]}
    assert "channels-send-mail" in durables["values"]

    assert scaler["spec"] == {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cartmesh-channels"},
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": [
            {
                "type": "External",
                "external": {
                    "metric": {
                        "name": "cartmesh_delivery_delay_seconds_p99",
                        "selector": {"matchExpressions": [{"key": "durable"} | durables]},
                    },
                    "target": {"type": "Value", "value": "0.5"},
                },
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

    values["services"]["channels"]["autoscaling"]["lagMetric"] = "nats_consumer_num_pending"
    exported = chart(values=values)["HorizontalPodAutoscaler", "channels"]["spec"]["metrics"][1]["external"]
    assert exported["metric"] == {
        "name": "nats_consumer_num_pending",
        "selector": {
            "matchLabels": {"is_consumer_leader": "true"},
            "matchExpressions": [{"key": "consumer_name"} | durables],
        },
    }


def test_an_autoscaler_follows_the_answers_of_an_http_service(chart):
    """Its own, and the CPU where that is wished."""
    values = {"services": {"gateway": {"autoscaling": {"cpu": 80, "latency": 0.2}}}}
    metrics = chart(values=values)["HorizontalPodAutoscaler", "gateway"]["spec"]["metrics"]

    assert [one["type"] for one in metrics] == ["External", "Resource"]
    assert metrics[0]["external"] == {
        "metric": {
            "name": "cartmesh_http_request_seconds_p99",
            "selector": {"matchLabels": {"service": "gateway"}},
        },
        "target": {"type": "Value", "value": "0.2"},
    }
    assert metrics[1]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}


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
                {"ports": [{"port": 443}]},
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
