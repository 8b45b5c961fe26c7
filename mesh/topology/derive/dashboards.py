"""Dashboards: a board for Grafana, made from what is declared: rows for the mesh, its servers, and each service.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mesh.event import declaration_of
from mesh.service import Service
from mesh.topology.derive.nats_exporter import Query, nats_panels

WIDTH, HEIGHT = 24, 8
Panel = dict[str, Any]


def dashboard(services: Sequence[Service]) -> dict[str, Any]:
    """The board, ready to be imported; Grafana asks for the data source, and the region is chosen on the page."""
    rows = [
        ("The mesh", _mesh()),
        ("The servers", [_panel(title, unit, *queries) for title, unit, queries in nats_panels(_HERE)]),
        *((service.name, _service(service)) for service in services),
    ]
    return {
        "uid": "cartmesh",
        "title": "Cartmesh",
        "tags": ["cartmesh"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
                {
                    "name": "namespace",
                    "type": "query",
                    "label": "Namespace",
                    "datasource": _SOURCE,
                    "query": "label_values(cartmesh_service_running, namespace)",
                    "includeAll": True,
                    "allValue": ".*",
                    "multi": True,
                    "refresh": 2,
                },
            ]
        },
        "panels": list(_placed(rows)),
    }


_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_HERE = 'namespace=~"$namespace"'


def _mesh() -> list[Panel]:
    funnel = "interaction.product_viewed|cart.updated|cart.abandoned|offer.sent|cart.recovered|order.placed"
    return [
        _panel(
            "Services that run", "short", (f"sum by (service) (cartmesh_service_running{{{_HERE}}})", "{{service}}")
        ),
        _panel(
            "Age of other regions' news",
            "s",
            (f"max by (region) (cartmesh_region_staleness_seconds{{{_HERE}}})", "{{region}}"),
        ),
        _panel(
            "Servers",
            "short",
            (f"max by (region) (cartmesh_nodes_up{{{_HERE}}})", "{{region}} up"),
            (f"max by (region) (cartmesh_nodes{{{_HERE}}})", "{{region}}"),
        ),
        _panel(
            "Dead letters that wait, and messages given up in an hour",
            "short",
            (f"max by (region) (cartmesh_dead_letters{{{_HERE}}})", "{{region}}"),
            (
                f'sum by (durable) (increase(cartmesh_handled_messages_total{{outcome="dead_letter",{_HERE}}}[1h]))',
                "{{durable}} gave up",
            ),
        ),
        _panel(
            "Lag: the durables with most before them",
            "short",
            (f"topk(10, max by (durable) (cartmesh_consumer_lag_messages{{{_HERE}}}))", "{{durable}}"),
        ),
        _panel(
            "Viewed, carted, left, offered, recovered",
            "ops",
            (f'sum by (type) (rate(cartmesh_events_total{{type=~"({funnel}).*",{_HERE}}}[5m]))', "{{type}}"),
        ),
        _panel(
            "Offers by outcome",
            "ops",
            (f'sum by (outcome) (rate(cartmesh_events_total{{type=~"offer.decided.*",{_HERE}}}[5m]))', "{{outcome}}"),
        ),
        _panel(
            "Models: versions that serve, and drift",
            "short",
            (f"sum by (model, version) (cartmesh_model_serving{{{_HERE}}})", "{{model}} {{version}}"),
            (f"max by (model) (cartmesh_model_drift_psi{{{_HERE}}})", "{{model}} PSI"),
            (f"max by (model) (cartmesh_model_calibration_error{{{_HERE}}})", "{{model}} calibration error"),
        ),
    ]


def _service(service: Service) -> list[Panel]:
    panels = [*_requests(service), *_publishing(service), *_handling(service)]
    return panels or [
        _panel("Runs", "short", (f'cartmesh_service_running{{service="{service.name}",{_HERE}}}', "{{pod}}"))
    ]


def _requests(service: Service) -> list[Panel]:
    if not service.serves_http:
        return []
    of = f'service="{service.name}",{_HERE}'
    slow = f"sum by (route, le) (rate(cartmesh_http_request_seconds_bucket{{{of}}}[5m]))"
    return [
        _panel(
            "Requests",
            "reqps",
            (f"sum by (route, status) (rate(cartmesh_http_requests_total{{{of}}}[5m]))", "{{status}} {{route}}"),
        ),
        _panel("Seconds to answer, p99", "s", (f"histogram_quantile(0.99, {slow})", "{{route}}")),
    ]


def _publishing(service: Service) -> list[Panel]:
    if not service.publishes:
        return []
    names = ", ".join(declaration_of(kind).type for kind in service.publishes)
    published = f'sum by (type, outcome) (rate(cartmesh_events_total{{service="{service.name}",{_HERE}}}[5m]))'
    return [_panel("Published", "ops", (published, "{{type}} {{outcome}}"), about=names)]


def _handling(service: Service) -> list[Panel]:
    durables = "|".join(sorted({binding.durable for binding in service.bindings}))
    if not durables:
        return []
    of = f'durable=~"{durables}",{_HERE}'
    handling = f"sum by (durable, le) (rate(cartmesh_handling_seconds_bucket{{{of}}}[5m]))"
    delay = f"sum by (durable, le) (rate(cartmesh_delivery_delay_seconds_bucket{{{of}}}[5m]))"
    return [
        _panel(
            "Handled, by outcome",
            "ops",
            (
                f"sum by (durable, outcome) (rate(cartmesh_handled_messages_total{{{of}}}[5m]))",
                "{{durable}} {{outcome}}",
            ),
            about="; ".join(f"{binding.durable}: {binding.summary}" for binding in service.bindings),
        ),
        _panel(
            "Seconds to handle, p50 and p99",
            "s",
            (f"histogram_quantile(0.5, {handling})", "{{durable}} p50"),
            (f"histogram_quantile(0.99, {handling})", "{{durable}} p99"),
        ),
        _panel(
            "Lag: messages before it, and their age (p99)",
            "short",
            (f"max by (durable) (cartmesh_consumer_lag_messages{{{of}}})", "{{durable}} messages"),
            (f"max by (durable) (cartmesh_consumer_ack_pending_messages{{{of}}})", "{{durable}} in hand"),
            (f"histogram_quantile(0.99, {delay})", "{{durable}} s"),
        ),
    ]


def _panel(title: str, unit: str, *queries: Query, about: str = "") -> Panel:
    return {
        "type": "timeseries",
        "title": title,
        "description": about,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 10}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + at), "expr": expression, "legendFormat": legend, "datasource": _SOURCE}
            for at, (expression, legend) in enumerate(queries)
        ],
    }


def _placed(rows: Sequence[tuple[str, list[Panel]]]) -> Iterator[Panel]:
    """Rows below each other, each row's panels side by side, three at most."""
    at, number = 0, 0
    for title, panels in rows:
        number += 1
        place = {"x": 0, "y": at, "w": WIDTH, "h": 1}
        yield {"type": "row", "title": title, "id": number, "collapsed": False, "panels": [], "gridPos": place}
        at += 1
        for start in range(0, len(panels), 3):
            side = panels[start : start + 3]
            width = WIDTH // len(side)
            for column, panel in enumerate(side):
                number += 1
                yield panel | {"id": number, "gridPos": {"x": column * width, "y": at, "w": width, "h": HEIGHT}}
            at += HEIGHT
