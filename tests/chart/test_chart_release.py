"""A release's own objects: applying streams, and watching the services."""

import json

from tests.chart.objects import labels

MONITORED = {"monitoring": [{"namespaceSelector": {}}]}


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
        {
            "name": "CARTMESH_NATS_SYS_PASSWORD_EU",
            "valueFrom": {"secretKeyRef": {"name": "cartmesh-passwords", "key": "sys", "optional": True}},
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
    reached = made["NetworkPolicy", "apply"]
    assert reached["spec"]["egress"] == made["NetworkPolicy", "carts"]["spec"]["egress"], "it reaches what services do"
    assert (
        reached["spec"]["podSelector"]["matchLabels"].items() <= job["spec"]["template"]["metadata"]["labels"].items()
    )
    assert int(reached["metadata"]["annotations"]["helm.sh/hook-weight"]) < 0
    assert "serviceAccountName" not in job["spec"]["template"]["spec"], "hooks run before it is there"


def test_streams_are_applied_again_and_again(chart):
    """The same container, with what the release has by then; a region that was not there is added."""
    made = chart()
    again, hook = made["CronJob", "apply"]["spec"], made["Job", "apply"]["spec"]["template"]["spec"]
    pod = again["jobTemplate"]["spec"]["template"]["spec"]

    assert (again["schedule"], again["concurrencyPolicy"]) == ("*/10 * * * *", "Forbid")
    assert pod["containers"][0]["args"] == [*hook["containers"][0]["args"], "--expand"], "it may be an older release"
    assert pod["containers"][0]["env"] == hook["containers"][0]["env"]
    assert {"name": "mesh", "configMap": {"name": "cartmesh-mesh"}} in pod["volumes"]
    assert pod["serviceAccountName"] == "cartmesh"
    assert ("CronJob", "apply") not in chart(values={"apply": {"schedule": ""}})


def test_what_may_be_lost_is_named_for_one_upgrade(chart):
    """The hook alone gets the names: what runs every ten minutes never loses anything."""
    made = chart(values={"apply": {"force": ["COMMERCE_eu", "servers"], "takeOver": {"carts-a": "carts-b"}}})
    hook = made["Job", "apply"]["spec"]["template"]["spec"]["containers"][0]
    again = made["CronJob", "apply"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]

    assert hook["args"][-6:] == ["--force", "COMMERCE_eu", "--force", "servers", "--take-over", "carts-a=carts-b"]
    assert again["args"] == [*hook["args"][:-6], "--expand"]


def test_a_rollback_is_judged_before_it_begins(chart):
    """By the older release, which refuses what it could not read, and changes nothing that the newer one made."""
    made = chart()
    hook, rollback = made["Job", "apply"], made["Job", "rollback"]

    assert rollback["metadata"]["annotations"]["helm.sh/hook"] == "pre-rollback"
    assert "pre-rollback" in made["ConfigMap", "apply"]["metadata"]["annotations"]["helm.sh/hook"]
    pod, usual = rollback["spec"]["template"]["spec"], hook["spec"]["template"]["spec"]
    assert pod["initContainers"] == usual["initContainers"]
    assert pod["containers"][0]["args"] == [*usual["containers"][0]["args"], "--expand"]


def test_a_toolbox_runs_operators_commands(chart):
    """Off until it is wanted; then a pod with the operator's password, beside mesh.toml, that reaches NATS alone."""
    made = chart(values={"toolbox": {"enabled": True}, "settings": {"shop_url": "https://shop.example.com"}})
    pod = made["Deployment", "toolbox"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    applying = made["Job", "apply"]["spec"]["template"]["spec"]["containers"][0]

    assert "toolbox" not in chart().names("Deployment")
    assert container["env"][: len(applying["env"])] == applying["env"]
    assert {"name": "CARTMESH_SHOP_URL", "value": "https://shop.example.com"} in container["env"]
    assert container["workingDir"] == "/etc/cartmesh/mesh"
    assert {"name": "mesh", "mountPath": "/etc/cartmesh/mesh", "readOnly": True} in container["volumeMounts"]
    policy = made["NetworkPolicy", "toolbox"]["spec"]
    assert policy["ingress"] == []
    assert [port["port"] for rule in policy["egress"] for port in rule["ports"]] == [53, 53, 4222]


def test_a_toolbox_reaches_other_regions_to_rebuild_its_own(chart):
    """Where they are is a value, their passwords are in a Secret, and a rule lets it out."""
    address, way_out = {"CARTMESH_NATS_URL_US": "tls://nats.us:4222"}, {"ports": [{"port": 4222}]}
    wanted = {"enabled": True, "environment": address, "credentials": "others", "egress": [way_out]}
    made = chart(values={"toolbox": wanted})
    (container,) = made["Deployment", "toolbox"]["spec"]["template"]["spec"]["containers"]

    assert {"name": "CARTMESH_NATS_URL_US", "value": "tls://nats.us:4222"} in container["env"]
    assert container["envFrom"] == [{"secretRef": {"name": "others"}}]
    assert way_out in made["NetworkPolicy", "toolbox"]["spec"]["egress"]


def test_a_region_is_saved_on_schedule(chart):
    """To a volume of one's own, encrypted with a Secret's text; never unless it is wanted."""
    wanted = {"schedule": "15 3 * * *", "claim": "backups", "secret": {"secret": "backup", "key": "key"}}
    made = chart(values={"backup": wanted})
    pod = made["CronJob", "backup"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert ("CronJob", "backup") not in chart()
    assert container["args"] == ["backup", "--region", "eu", "--to", "/backups", "--keep", "7"]
    assert container["env"][-1]["valueFrom"] == {"secretKeyRef": {"name": "backup", "key": "key"}}
    assert {"name": "backups", "persistentVolumeClaim": {"claimName": "backups"}} in pod["volumes"]
    assert made["NetworkPolicy", "backup"]["spec"]["ingress"] == []


def test_a_region_is_saved_to_s3(chart):
    """To a bucket instead of a volume, with the standard variables, and with a way out."""
    way_out = [{"ports": [{"port": 443}]}]
    wanted = {
        "schedule": "15 3 * * *",
        "to": "s3://backups/eu",
        "environment": {"AWS_REGION": "eu-central-1"},
        "credentials": "bucket",
        "egress": way_out,
        "secret": {"secret": "backup", "key": "key"},
    }
    made = chart(values={"backup": wanted})
    pod = made["CronJob", "backup"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert container["args"][3:5] == ["--to", "s3://backups/eu"]
    assert container["env"][-1] == {"name": "AWS_REGION", "value": "eu-central-1"}
    assert container["envFrom"] == [{"secretRef": {"name": "bucket"}}]
    assert {"tmp", "mesh", "ca"} == {volume["name"] for volume in pod["volumes"]}
    assert made["NetworkPolicy", "backup"]["spec"]["egress"][-1:] == way_out


def test_the_second_logins_are_used_while_passwords_are_changed(chart):
    """Every pod then takes the other key and says so; pods restart where the Secrets or their revision change."""
    one, two = chart(), chart(values={"secrets": {"login": "next", "revision": "march"}})
    other_authority = chart(values={"nats": {"tls": {"caSecret": "authority-of-march"}}})

    def password(made, kind, name):
        spec = made[kind, name]["spec"]["template"]["spec"]["containers"][0]["env"]
        found = {one["name"]: one for one in spec}
        (key,) = [
            one["valueFrom"]["secretKeyRef"]["key"]
            for name, one in found.items()
            if name in (OWN, "CARTMESH_NATS_PASSWORD_EU")
        ]
        return key, found.get("CARTMESH_NATS_LOGIN", {}).get("value")

    assert (password(one, "Deployment", "carts"), password(two, "Deployment", "carts")) == (
        ("carts", None),
        ("carts.next", "next"),
    )
    assert password(two, "Job", "apply") == ("operator.next", "next")
    sums = [
        made["Deployment", "carts"]["spec"]["template"]["metadata"]["annotations"]["cartmesh/secrets"]
        for made in (one, two, other_authority)
    ]
    assert len(set(sums)) == 3


OWN = "CARTMESH_CARTS_PASSWORD"


def test_a_pod_monitor_finds_every_pod(chart):
    """By the labels that all of them have."""
    made = chart(
        values={"podMonitor": {"enabled": True, "labels": {"release": "prometheus"}}, "networkPolicy": MONITORED}
    )

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


def in_region(region, rules):
    """The code's rules, each with the region whose they are."""
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["labels"]["cartmesh_region"] = region
    return rules


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
        "spec": in_region("eu", json.loads((derived / "alerts.json").read_text())),
    }
    assert made["ConfigMap", "dashboard"] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "cartmesh-dashboard", "labels": labels() | {"grafana_dashboard": "1"}},
        "data": {"cartmesh.json": (derived / "dashboard.json").read_text()},
    }
    assert json.loads(made["ConfigMap", "dashboard"]["data"]["cartmesh.json"])["uid"] == "cartmesh"
