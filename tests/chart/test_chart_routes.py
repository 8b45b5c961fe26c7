"""What the chart lets in from outside: Ingress and Gateway API."""

import json

from tests.chart.objects import labels


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
    """Enabled, it has a way in for shoppers and one out to the gateway that takes its catalogue."""
    shop = {"enabled": True, "route": {"hosts": ["tea.shop.example.com"]}}
    made = chart(values={"services": {"storefront": shop}, "ingress": {"enabled": True}})

    gateway = {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "gateway"}}}
    assert {"ports": [{"port": 8080}], "to": [gateway]} in made["NetworkPolicy", "storefront"]["spec"]["egress"]
    assert made["NetworkPolicy", "storefront"]["spec"]["ingress"] == [{"ports": [{"port": "http"}]}]
    paths = [path["path"] for path in made["Ingress", "storefront"]["spec"]["rules"][0]["http"]["paths"]]
    assert "/" not in paths
    assert "/metrics" not in paths
    assert "storefront" not in chart().names("Deployment")


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
                    "matches": [
                        {"path": {"type": "PathPrefix", "value": path}}
                        for path in ("/unsubscribe", "/confirm", "/preferences", "/carts", "/opened", "/s")
                    ],
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

    routed = {
        "/blocks": "studio",
        "/board": "board",
        "/catalogue": "event-catalogue",
        "/connections": "connect",
        "/console": "console",
        "/decisions": "studio",
        "/documents": "studio",
        "/experiments": "studio",
        "/fraud": "fraud-review",
        "/functions": "functions",
        "/journeys": "studio",
        "/lake": "lake",
        "/offers": "promotions",
        "/orders": "order-views",
        "/overview": "studio",
        "/payments": "payments",
        "/people": "identity",
        "/queues": "board",
        "/sender": "studio",
        "/stock": "stock",
        "/suppressions": "studio",
        "/templates": "studio",
        "/webhooks": "webhooks",
    }
    assert made.names("Ingress") == ["gateway", "links", "mail-reports", "pages"]
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
    paths = [one["path"] for one in ingress["spec"]["rules"][0]["http"]["paths"]]
    shop = ["/experiments", "/fraud", "/functions", "/journeys", "/lake", "/offers", "/orders", "/overview"]
    assert paths == [
        "/",
        "/blocks",
        "/catalogue",
        "/connections",
        "/console",
        "/decisions",
        "/documents",
        *shop,
        "/payments",
        "/people",
        "/sender",
        "/stock",
        "/suppressions",
        "/templates",
        "/webhooks",
    ]
    assert [name for kind, name in chart() if kind == "Ingress"] == ["gateway", "links", "mail-reports"]
