"""NATS exporter: alerts and panels from what the servers' own exporter reports, as the official chart runs it.

The chart starts prometheus-nats-exporter with `-prefix=nats -varz -connz -routez -subz -leafz -jsz=all`
(https://github.com/nats-io/k8s, files/stateful-set/prom-exporter-container.yaml). `nats_varz_*` are the numbers of the
page `/varz`, nested ones joined by `_`; `nats_server_*`, `nats_stream_*` and `nats_leafz_*` are named in
https://github.com/nats-io/prometheus-nats-exporter (collector/jsz.go and leafz.go).
"""

from typing import Any

from mesh.topology.derive.alert_rule import record, rule

Query = tuple[str, str]
"""An expression of PromQL and the legend of its lines."""
FULL = 0.85
"""The share of JetStream's store, or of a stream's quota, above which somebody should look."""
HTTP_P99, DELIVERY_P99 = "cartmesh_http_request_seconds_p99", "cartmesh_delivery_delay_seconds_p99"
"""Recorded figures that autoscalers follow: of a `service`, and of a `durable`."""
_LINKS = "sum by (namespace) (nats_leafz_conn_nodes_total)"
_STORED = "nats_varz_jetstream_stats_storage{where} / (nats_varz_jetstream_config_max_storage{where} > 0)"
_OF_QUOTA = "nats_stream_total_bytes{where} / (nats_stream_limit_bytes{where} > 0)"


def nats_alerts() -> dict[str, Any]:
    """The group of the servers: what only they know."""
    rules = [
        rule(
            "CartmeshServersUnseen",
            "absent(nats_varz_mem)",
            "10m",
            "warning",
            "The servers' own figures are not scraped, and the alerts on them are silent",
            "Set promExporter.podMonitor.enabled in the values of nats, and `cartmesh mesh render` with --monitoring.",
        ),
        rule(
            "CartmeshStoreFills",
            f"max by (namespace, pod) ({_STORED.format(where='')}) > {FULL}",
            "10m",
            "critical",
            "JetStream of {{ $labels.pod }} has used {{ $value | humanizePercentage }} of what it may store",
            "Full, it refuses every event with 503: give the volumes more space, or streams smaller quotas.",
        ),
        rule(
            "CartmeshStreamAtQuota",
            f"max by (namespace, stream_name) ({_OF_QUOTA.format(where='')}) > {FULL}",
            "30m",
            "warning",
            "{{ $labels.stream_name }} has used {{ $value | humanizePercentage }} of its quota",
            "Behind it views and copies lose the oldest before their time, and others are refused: see [quotas].",
        ),
        rule(
            "CartmeshLinkLost",
            f"{_LINKS} < max_over_time({_LINKS}[1d:5m])",
            "10m",
            "warning",
            "{{ $value }} leafnode connections are left in {{ $labels.namespace }}, fewer than in the last day",
            "Links end at the servers of other regions: `cartmesh status` shows what is heard from whom.",
        ),
        rule(
            "CartmeshSlowConsumer",
            "sum by (namespace, pod) (increase(nats_varz_slow_consumers[15m])) > 0",
            "0m",
            "warning",
            "{{ $labels.pod }} has cut off clients that did not read fast enough",
            "They connect again and lose nothing stored; its log names them. Give them more CPU or replicas.",
        ),
    ]
    return {"name": "cartmesh-nats", "rules": rules}


def latencies() -> dict[str, Any]:
    """What autoscalers compare with the latency that is wished for: 99 % of the last five minutes are below it."""

    def p99(histogram: str, of: str) -> str:
        return f"histogram_quantile(0.99, sum by (namespace, {of}, le) (rate({histogram}_bucket[5m])))"

    return {
        "name": "cartmesh-latency",
        "rules": [
            record(HTTP_P99, p99("cartmesh_http_request_seconds", "service")),
            record(DELIVERY_P99, p99("cartmesh_delivery_delay_seconds", "durable")),
        ],
    }


def nats_panels(here: str) -> list[tuple[str, str, tuple[Query, ...]]]:
    """Title, unit and queries of each panel; `here` selects the namespaces that are looked at."""
    where = f"{{{here}}}"
    return [
        ("Share of JetStream's store that is used", "percentunit", ((_STORED.format(where=where), "{{pod}}"),)),
        (
            "Share of their quotas that streams use",
            "percentunit",
            ((f"max by (stream_name) ({_OF_QUOTA.format(where=where)})", "{{stream_name}}"),),
        ),
        (
            "The largest streams",
            "bytes",
            ((f"topk(10, max by (stream_name) (nats_stream_total_bytes{where}))", "{{stream_name}}"),),
        ),
        (
            "Messages in and out",
            "ops",
            (
                (f"rate(nats_varz_in_msgs{where}[5m])", "{{pod}} in"),
                (f"rate(nats_varz_out_msgs{where}[5m])", "{{pod}} out"),
            ),
        ),
        ("Memory", "bytes", ((f"nats_varz_mem{where}", "{{pod}}"),)),
        ("CPU, in percent of a core", "short", ((f"nats_varz_cpu{where}", "{{pod}}"),)),
        (
            "Connections",
            "short",
            (
                (f"nats_varz_connections{where}", "{{pod}} clients"),
                (f"nats_leafz_conn_nodes_total{where}", "{{pod}} links"),
                (f"nats_routez_num_routes{where}", "{{pod}} routes"),
            ),
        ),
        (
            "Clients cut off in an hour, for they did not read fast enough",
            "short",
            ((f"increase(nats_varz_slow_consumers{where}[1h])", "{{pod}}"),),
        ),
        (
            "JetStream: requests and errors",
            "ops",
            (
                (f"rate(nats_varz_jetstream_stats_api_total{where}[5m])", "{{pod}} requests"),
                (f"rate(nats_varz_jetstream_stats_api_errors{where}[5m])", "{{pod}} errors"),
            ),
        ),
    ]
