"""What the chart does not take, and the words it says so with."""

import json
from pathlib import Path

import pytest
import yaml

from mesh.topology.derive.values import commented_values
from mesh.topology.mesh_toml import Topology
from tests.chart.merge_schema import SCHEMA, written

ROOT = Path(__file__).parents[2]
CHART, REGIONS = ROOT / "deploy" / "chart", ROOT / "deploy" / "regions"

WRONG = {
    "a region that does not exist": ({"region": "mars"}, 'region "mars" does not exist: there are ap, eu, us'),
    "no region": ({"region": ""}, "region is missing: write --set region=NAME"),
    "a service that does not exist": (
        {"services": {"gatway": {"replicas": 3}}},
        "services.gatway: no service is called so; there are board, carts, channels, checkout",
    ),
    "no pod": ({"services": {"carts": {"replicas": 0}}}, "services.carts.replicas: Must be greater than or equal to 1"),
    "a typo": ({"servcies": {}}, "Additional property servcies is not allowed"),
    "a typo in a service": (
        {"services": {"carts": {"replica": 1}}},
        "services.carts: Additional property replica is not allowed",
    ),
    "a word for a number": ({"defaults": {"replicas": "two"}}, "defaults.replicas: Invalid type. Expected: integer"),
    "a setting that nothing reads": (
        {"settings": {"abandn_after": "30m"}},
        "settings.abandn_after: nothing reads this; derived/settings.md lists what is read",
    ),
    "a service's setting that nothing reads": (
        {"services": {"offers": {"secretSettings": {"secrt": {"secret": "a", "key": "b"}}}}},
        "services.offers.secretSettings.secrt: nothing reads this",
    ),
    "a setting that is the chart's": (
        {"settings": {"health_port": 1}},
        "settings.health_port: the chart sets this itself",
    ),
    "a setting as a variable": (
        {"environment": {"CARTMESH_SECRET": "x"}},
        'environment: Property name of "CARTMESH_SECRET" does not match',
    ),
    "a time that is none": ({"apply": {"schedule": "hourly"}}, "apply.schedule: Does not match pattern"),
    "no servers": ({"nats": {"urls": []}}, "nats.urls is missing"),
    "a password in an address": ({"nats": {"urls": ["tls://me:secret@nats:4222"]}}, "nats.urls.0: Does not match"),
    "no passwords": ({"secrets": {"passwords": ""}}, "secrets.passwords is missing: the name of the Secret"),
    "a secret setting that is nowhere": (
        {"services": {"gateway": {"secretSettings": {"write_keys": {"secret": "", "key": ""}}}}},
        "services.gateway.secretSettings.write_keys: name the Secret and the key",
    ),
    "no secret for those who seal links": (
        {"secretSettings": {"secret": {"secret": "", "key": ""}}},
        "services.channels.secretSettings.secret: name the Secret and the key it is in",
    ),
    "no secret for the gateway's digests": (
        {
            "secretSettings": {"address_secret": {"secret": "", "key": ""}},
            "services": {
                name: {"secretSettings": {"address_secret": {"secret": "s", "key": "k"}}}
                for name in ("channels", "identity", "offers", "orders")
            },
        },
        "services.gateway.secretSettings.address_secret: name the Secret and the key it is in",
    ),
    "a secret setting as plain text": (
        {"services": {"gateway": {"secretSettings": {"write_keys": "demo"}}}},
        "services.gateway.secretSettings.write_keys: Invalid type. Expected: object",
    ),
    "a test without a key": ({"test": {"writeKey": {"secret": "", "key": ""}}}, "test.writeKey is missing"),
    "more pods at least than at most": (
        {"services": {"carts": {"autoscaling": {"enabled": True, "min": 9, "max": 3}}}},
        "services.carts.autoscaling: min 9 is more than max 3",
    ),
    "a route to what speaks no HTTP": (
        {"services": {"carts": {"route": {"hosts": ["a.example.com"], "paths": ["/"]}}}},
        "services.carts.route.hosts: the service has no HTTP interface",
    ),
    "a route to nothing": (
        {"services": {"gateway": {"route": {"paths": []}}}},
        "services.gateway.route.paths is empty",
    ),
    "no gateway for the routes": ({"gatewayApi": {"enabled": True}}, "gatewayApi.parentRefs is empty"),
    "a patch of what is not there": (
        {"services": {"carts": {"patch": {"Deployment": [{"op": "replace", "path": "/spec/colour", "value": 1}]}}}},
        'patch replace /spec/colour: there is no "colour"',
    ),
    "a kind that the chart does not make": (
        {"services": {"carts": {"merge": {"StatefulSet": {}}}}},
        "Additional property StatefulSet is not allowed",
    ),
    "a word for a duration": (
        {"settings": {"abandon_after": "banana"}},
        'settings.abandon_after: "banana" is not a duration such as 150ms, 30s, 30m, 2h or 1d',
    ),
    "a word for a service's number": (
        {"services": {"channels": {"settings": {"smtp_port": "smtp"}}}},
        'services.channels.settings.smtp_port: "smtp" is not a whole number',
    ),
    "more asked for than allowed": (
        {"services": {"carts": {"resources": {"requests": {"cpu": "250m", "memory": "1Gi"}}}}},
        "services.carts.resources.requests.memory: 1Gi is more than the limit 512Mi",
    ),
    "more processors asked for than allowed": (
        {"defaults": {"resources": {"requests": {"cpu": 3}}}},
        "resources.requests.cpu: 3 is more than the limit 2",
    ),
    "a CA and servers without TLS": (
        {"nats": {"urls": ["nats://nats:4222"]}},
        "nats.urls: nats://nats:4222 speaks no TLS, so that nats.tls.caSecret would count for nothing",
    ),
    "another region's servers": (
        {"nats": {"urls": ["tls://nats.us.shop.example.com:4222"]}},
        "nats.urls: nats.us.shop.example.com belongs to region us (mesh.toml), and this is eu",
    ),
    "another region's host": (
        {"services": {"gateway": {"route": {"hosts": ["events.us.shop.example.com"]}}}},
        "services.gateway.route.hosts: events.us.shop.example.com belongs to region us",
    ),
    "another region's console": (
        {"console": {"hosts": ["console.us.shop.example.com"]}},
        "console.hosts: console.us.shop.example.com belongs to region us",
    ),
    "mails that do not get out": (
        {"services": {"channels": {"settings": {"smtp_port": 465}}}},
        "services.channels.egress: no rule lets mails out to port 465",
    ),
    "test mails that do not get out": (
        {"services": {"studio": {"settings": {"smtp_port": 465}}}},
        "services.studio.egress: no rule lets mails out to port 465",
    ),
    "texts that do not get out": (
        {"services": {"channels": {"egress": [{"ports": [{"port": 587}]}]}}},
        "services.channels.egress: no rule lets text messages and notifications out by HTTPS",
    ),
    "a provider of texts that there is not": (
        {"settings": {"sms_provider": "twillio"}},
        'settings.sms_provider: "twillio" is no provider of text messages: write twilio, sns, or nothing',
    ),
    "a provider that the studio knows differently": (
        {"services": {"studio": {"settings": {"sms_provider": "sns"}}}},
        "settings.sms_provider: channels, offers and studio must be told the same",
    ),
    "a provider without its region": (
        {"settings": {"sms_provider": "sns"}},
        "services.channels.settings.sns_region is missing: settings.sms_provider says sns",
    ),
    "a provider without its secret": (
        {
            "settings": {"sms_provider": "sns", "sns_region": "eu-west-1"},
            "secretSettings": {"sns_access_key": {"secret": "s", "key": "k"}},
        },
        "services.channels.secretSettings.sns_secret_key is missing",
    ),
    "a region that Amazon has not": (
        {"settings": {"sns_region": "Ireland"}},
        'settings.sns_region: "Ireland" is no region of Amazon',
    ),
    "texts from a number that is none": (
        {"services": {"channels": {"settings": {"sms_from": "0049 151 12345678"}}}},
        'services.channels.settings.sms_from: "0049 151 12345678" is no sender of text messages',
    ),
    "an account that Twilio has not": (
        {"services": {"channels": {"settings": {"twilio_account": "shop@example.com"}}}},
        'services.channels.settings.twilio_account: "shop@example.com" is no account of Twilio',
    ),
    "reports that Twilio cannot bring": (
        {"services": {"mail-reports": {"settings": {"twilio_status_url": "http://reports.example/twilio"}}}},
        'services.mail-reports.settings.twilio_status_url: "http://reports.example/twilio" is not where Twilio reaches',
    ),
    "a key of notifications that is none": (
        {"settings": {"push_public_key": "our-key"}},
        'settings.push_public_key: "our-key" is no public key that `cartmesh push-keys` printed',
    ),
    "notifications that nobody answers for": (
        {"services": {"channels": {"settings": {"push_contact": ""}}}},
        "services.channels.settings.push_contact is missing",
    ),
    "a contact that nobody can write to": (
        {"services": {"channels": {"settings": {"push_contact": "the shop"}}}},
        'services.channels.settings.push_contact: "the shop" is nothing that push services could write to',
    ),
    "a token of Twilio in plain sight": (
        {"services": {"channels": {"settings": {"twilio_secret": "token"}}}},
        "services.channels.settings.twilio_secret: a secret does not stand in values",
    ),
    "a setting of texts that is misspelt": (
        {"settings": {"sms_providor": "twilio"}},
        "settings.sms_providor",
    ),
    "traces that do not get out": (
        {"environment": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}},
        "environment.OTEL_EXPORTER_OTLP_ENDPOINT: no traces would get out, for networkPolicy.egress is empty",
    ),
    "metrics that nobody may read": (
        {"podMonitor": {"enabled": True}},
        "podMonitor.enabled: nobody may read metrics, for networkPolicy.monitoring is empty",
    ),
    "lag of a service that consumes nothing": (
        {"services": {"heartbeat": {"autoscaling": {"enabled": True, "lag": 100}}}},
        "services.heartbeat.autoscaling.lag: the service consumes nothing",
    ),
    "an autoscaler that follows nothing": (
        {"services": {"carts": {"autoscaling": {"enabled": True, "lag": 0, "latency": 0}}}},
        "services.carts.autoscaling: nothing is followed, and Kubernetes would take 80 % of the CPU",
    ),
    "the services' own labels": (
        {"nats": {"podLabels": {"app.kubernetes.io/name": "cartmesh"}}},
        "nats.podLabels: these are the services' own pods",
    ),
    "a label that is none": (
        {"nats": {"podLabels": {"app.kubernetes.io/name": "nats server"}}},
        "nats.podLabels.app.kubernetes.io/name: Does not match pattern",
    ),
    "server keys as plain text": (
        {"services": {"gateway": {"settings": {"server_keys": "sk_live"}}}},
        "services.gateway.settings.server_keys: a secret does not stand in values: make a Secret",
    ),
    "brokers with their passwords as plain text": (
        {"services": {"gateway": {"settings": {"sources": "erp=cloudevents:amqps://a:b@c/?queue=d"}}}},
        "services.gateway.settings.sources: a secret does not stand in values: make a Secret",
    ),
    "a secret as plain text for all": (
        {"settings": {"secret": "0123456789abcdef"}},
        "settings.secret: a secret does not",
    ),
    "a typo in what is merged": (
        {"services": {"carts": {"merge": {"Deployment": {"spec": {"template": {"spec": {"priorityClasName": "a"}}}}}}}},
        "Additional property priorityClasName is not allowed",
    ),
    "a typo in what is merged into the release's objects": (
        {"merge": {"CronJob": {"spec": {"suspended": True}}}},
        "Additional property suspended is not allowed",
    ),
    "a backup that does not get out": (
        {"backup": {"schedule": "15 3 * * *", "to": "s3://backups", "secret": {"secret": "b", "key": "k"}}},
        "backup.egress: no rule lets a backup out to S3",
    ),
    "a backup to two places": (
        {
            "backup": {
                "schedule": "15 3 * * *",
                "to": "s3://backups",
                "claim": "c",
                "secret": {"secret": "b", "key": "k"},
            }
        },
        "backup.to and backup.claim: a backup goes to one of them",
    ),
    "a backup to nowhere": ({"backup": {"schedule": "15 3 * * *"}}, "backup.schedule: say where to and how it is"),
    "too little time to drain": ({"defaults": {"terminationGracePeriodSeconds": 1}}, "terminationGracePeriodSeconds"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_values_are_refused_in_clear_words(refusal, what):
    """The path in the values, what is wrong, what there is."""
    values, words = WRONG[what]

    assert words in refusal(values)


def test_the_chart_is_without_lint(helm):
    """With the values of every region."""
    for path in sorted(REGIONS.glob("*.yaml")):
        ran = helm("lint", "--strict", "-f", str(path))

        assert ran.returncode == 0, ran.stdout


def test_the_regions_files_are_those_of_the_mesh():
    """One for each region, and each for its own."""
    assert {path.stem: yaml.safe_load(path.read_text())["region"] for path in REGIONS.glob("*.yaml")} == {
        name: name for name in Topology.load(ROOT / "mesh.toml").names
    }


def test_every_value_is_described():
    """Each key of values.yaml that is no service has a comment, and the schema knows it."""
    values = yaml.safe_load(Path(CHART, "values.yaml").read_text())
    schema = json.loads(Path(CHART, "values.schema.json").read_text())
    described = {path for path, _, _ in commented_values(Path(CHART, "values.yaml").read_text())}

    assert schema["properties"].keys() - {"global"} == values.keys()
    for name, value in values.items():
        if name in described and name != "defaults":
            continue
        assert {f"{name}.{key}" for key in value if not isinstance(value[key], dict)} - described == set()


def test_what_may_be_merged_is_what_kubernetes_knows():
    """Run `python -m tests.chart.merge_schema` where this fails. What is only a part of an object is taken."""
    assert SCHEMA.read_text(encoding="utf-8") == written()


def test_what_is_right_is_not_refused(chart):
    """Durations, numbers and flags as people write them; requests as large as their limits; a range of ports."""
    made = chart(
        values={
            "settings": {"abandon_after": "90m", "trusted_proxies": 2, "smtp_port": "465", "journey_quiet": ""},
            "defaults": {"resources": {"requests": {"cpu": "2000m", "memory": "512Mi"}, "limits": {"memory": "0.5Gi"}}},
            "services": {
                "channels": {"settings": {"smtp_port": 587}, "egress": [{"ports": [{"port": 400, "endPort": 600}]}]},
                "carts": {"merge": {"Deployment": {"spec": {"template": {"spec": {"priorityClassName": "high"}}}}}},
                "scoring": {"autoscaling": {"enabled": True, "lag": 100}},
                "training": {"resources": {"limits": {"memory": "3Gi"}}},
            },
            "environment": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
            "networkPolicy": {"egress": [{"ports": [{"port": 4318}]}]},
        }
    )

    assert made["Deployment", "carts"]["spec"]["template"]["spec"]["priorityClassName"] == "high"


def test_channels_are_given_what_they_need_and_no_more(chart):
    """Secrets for who sends alone; the short links of texts come in, and who sends gets out."""
    made = chart()
    told = {name: _variables(made["Deployment", name]) for name in ("channels", "offers", "studio", "mail-reports")}
    secret = {"CARTMESH_TWILIO_SECRET", "CARTMESH_PUSH_PRIVATE_KEY"}
    routes = [path["path"] for rule in made["Ingress", "links"]["spec"]["rules"] for path in rule["http"]["paths"]]
    out = [
        port["port"] for rule in made["NetworkPolicy", "channels"]["spec"]["egress"] for port in rule.get("ports", ())
    ]

    assert secret <= told["channels"]
    assert {name: secret & those for name, those in told.items() if name != "channels"} == {
        "offers": set(),
        "studio": set(),
        "mail-reports": {"CARTMESH_TWILIO_SECRET"},
    }
    assert all({"CARTMESH_SMS_PROVIDER", "CARTMESH_PUSH_PUBLIC_KEY"} <= those for those in told.values())
    assert "/s" in routes
    assert 443 in out


def test_amazon_and_no_notifications_at_all_are_right_too(chart):
    """A number or a name as the sender; without a channel nothing is asked for it."""
    none = {"secret": "", "key": ""}
    sns = {"sns_access_key": {"secret": "s", "key": "a"}, "sns_secret_key": {"secret": "s", "key": "b"}}
    of_channels = {"settings": {"sms_from": "Haru Linde", "sns_region": "eu-west-1"}, "secretSettings": sns}
    made = chart(values={"settings": {"sms_provider": "sns"}, "services": {"channels": of_channels}})
    off = {"settings": {"sms_provider": ""}, "services": {"channels": {"egress": [{"ports": [{"port": 587}]}]}}}

    assert {"CARTMESH_SNS_REGION", "CARTMESH_SNS_SECRET_KEY"} <= _variables(made["Deployment", "channels"])
    chart(values={**off, "secretSettings": {"push_public_key": none}})


def _variables(deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"] for one in container["env"]}
