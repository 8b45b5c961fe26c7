"""Alerts: rules for Prometheus, made from what is declared: every service and every figure has somebody who watches it.

https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
"""

from collections.abc import Sequence
from typing import Any

from mesh.service import Service
from mesh.topology.derive.alert_rule import Rule, rule
from mesh.topology.derive.nats_exporter import latencies, nats_alerts

BEHIND = 10_000
"""Messages that a consumer may have before it."""
STALE_S = 10
DRIFTED = 0.25
"""Population stability index above which a distribution counts as another one."""


def alerts(services: Sequence[Service]) -> dict[str, Any]:
    """The content of a rule file: what holds for all services, for the servers, for each service, and for the shop."""
    everywhere = {"name": "cartmesh", "rules": [*_servers(), *_cluster(), *_handling(), *_answering()]}
    return {"groups": [everywhere, nats_alerts(), latencies(), _present(services), _shop()]}


def _servers() -> list[Rule]:
    """The regions, their servers and their streams. Every replica of the watch reports the same: the highest counts."""
    retries = "sum by (stream) (rate(cartmesh_publish_retries_total[5m]))"
    return [
        rule(
            "CartmeshRegionStale",
            f"max by (namespace, region) (cartmesh_region_staleness_seconds) > {STALE_S}",
            "30s",
            "critical",
            "Nothing was received from {{ $labels.region }} for {{ $value | humanizeDuration }}",
            "Offers are held back until the link is up: `cartmesh status` shows silent sources.",
        ),
        rule(
            "CartmeshNodeDown",
            "max by (region) (cartmesh_nodes - cartmesh_nodes_up) > 0",
            "1m",
            "warning",
            "{{ $value }} of the servers of {{ $labels.region }} are down",
            "It works on while more than half of each stream's copies are up: bring it back before the next falls.",
        ),
        rule(
            "CartmeshStoreRetries",
            f"{retries} > 1",
            "5m",
            "critical",
            "Storing in {{ $labels.stream }} has to be tried again",
            "JetStream has no leader, or is full: `cartmesh status`.",
        ),
    ]


def _cluster() -> list[Rule]:
    """What only Kubernetes knows: volumes (kubelet), jobs (kube-state-metrics), certificates (cert-manager)."""
    claim = 'persistentvolumeclaim=~".*-js-nats-.*"'
    expiry = 'certmanager_certificate_expiration_timestamp_seconds{name="nats-tls"}'
    free = f"kubelet_volume_stats_available_bytes{{{claim}}} / kubelet_volume_stats_capacity_bytes{{{claim}}}"
    return [
        rule(
            "CartmeshRegionSilent",
            "absent(cartmesh_nodes_up)",
            "2m",
            "critical",
            "Nobody says how many servers are up: too few to agree, or no watch, and then other alerts are silent too",
            "`cartmesh status` asks the servers themselves. Without a majority nothing is stored: bring servers back.",
        ),
        rule(
            "CartmeshDiskFills",
            f"min by (namespace, persistentvolumeclaim) ({free}) < 0.15",
            "10m",
            "critical",
            "{{ $labels.persistentvolumeclaim }} has {{ $value | humanizePercentage }} of its space left",
            "A full disk stores nothing more: give the volume more space, or let streams keep less.",
        ),
        rule(
            "CartmeshApplyFails",
            'max by (namespace) (kube_job_status_failed{job_name=~".*cartmesh.*-apply.*"}) > 0',
            "15m",
            "warning",
            "The servers cannot be brought to what is declared",
            "The Job's log says why; `cartmesh mesh apply` tries again.",
        ),
        rule(
            "CartmeshBackupOld",
            'time() - max by (namespace) (kube_cronjob_status_last_successful_time{cronjob=~".*-backup"}) > 129600',
            "10m",
            "warning",
            "The last backup is {{ $value | humanizeDuration }} old",
            "The log of the CronJob's last pod says why; `cartmesh backup` makes one at once.",
        ),
        rule(
            "CartmeshCertificateExpires",
            f"min by (namespace, name) ({expiry}) - time() < 1209600",
            "1h",
            "critical",
            "The servers' certificate expires in {{ $value | humanizeDuration }}",
            "cert-manager should have renewed it: its Certificate says why not. Without it, `cartmesh mesh certs`.",
        ),
    ]


def _handling() -> list[Rule]:
    """What services are given: how it ends, and how long it waits, as the streams' leaders count it."""
    outcomes = "cartmesh_handled_messages_total"
    failing = f'sum by (durable) (rate({outcomes}{{outcome="failed"}}[5m])) / sum by (durable) (rate({outcomes}[5m]))'
    delay = "histogram_quantile(0.99, sum by (durable, le) (rate(cartmesh_delivery_delay_seconds_bucket[5m])))"
    return [
        rule(
            "CartmeshDeadLetters",
            "max by (region) (cartmesh_dead_letters) > 0",
            "0m",
            "warning",
            "{{ $value }} dead letters are in {{ $labels.region }}",
            "`cartmesh dead list` says why; mend the cause, then `cartmesh dead redrive`.",
        ),
        rule(
            "CartmeshHandlerFails",
            f"{failing} > 0.05",
            "10m",
            "warning",
            "{{ $labels.durable }} fails for {{ $value | humanizePercentage }} of what it is given",
            "Its log has the reason under event failed, with trace_id and event_id for `cartmesh trace`.",
        ),
        rule(
            "CartmeshConsumerBehind",
            f"max by (stream, durable) (cartmesh_consumer_lag_messages) > {BEHIND}",
            "10m",
            "warning",
            "{{ $labels.durable }} has {{ $value }} messages of {{ $labels.stream }} before it",
            "Add replicas: they share the durable. It may also not run at all: its lag is the stream leader's.",
        ),
        rule(
            "CartmeshConsumerChanged",
            "max by (stream, durable) (cartmesh_consumer_outdated) > 0",
            "1m",
            "critical",
            "{{ $labels.durable }} on {{ $labels.stream }} does not deliver what its service declares",
            "Somebody changed it by hand, or code is newer than what was applied: `cartmesh mesh apply` restores it.",
        ),
        rule(
            "CartmeshLakeFails",
            "max by (namespace, stream) (cartmesh_lake_failing) > 0",
            "5m",
            "warning",
            "The lake takes nothing of {{ $labels.stream }}",
            "The console's page Lake says why, such as a full disk. The streams keep what waits.",
        ),
        rule(
            "CartmeshDeliveryLate",
            f"{delay} > 30",
            "10m",
            "warning",
            "{{ $labels.durable }} is given events {{ $value | humanizeDuration }} after they were stored",
            "Add replicas, or find what makes its handler slow.",
        ),
    ]


def _answering() -> list[Rule]:
    refused = (
        'sum by (service) (rate(cartmesh_http_requests_total{status=~"5.."}[5m])) '
        "/ sum by (service) (rate(cartmesh_http_requests_total[5m]))"
    )
    return [
        rule(
            "CartmeshHttpErrors",
            f"{refused} > 0.01",
            "5m",
            "critical",
            "{{ $labels.service }} answers {{ $value | humanizePercentage }} of its requests with 5xx",
            "503 means that JetStream does not take events; 500 is logged with its reason.",
        ),
    ]


def _present(services: Sequence[Service]) -> dict[str, Any]:
    """A service that nobody runs reports no figure: the alert is on its absence. Demos may be absent."""
    return {
        "name": "cartmesh-services",
        "rules": [
            rule(
                "CartmeshServiceAbsent",
                f'absent(cartmesh_service_running{{service="{service.name}"}} == 1)',
                "2m",
                "critical",
                f"{service.name} does not run",
                f"{service.summary} Nothing is lost: it goes on where it stopped once it runs again.",
                service=service.name,
            )
            for service in services
            if service.needs_process and not service.demo
        ],
    }


def _shop() -> dict[str, Any]:
    approved = 'sum(increase(cartmesh_events_total{type=~"offer[.]decided[.].*",outcome="approved"}[30m]))'
    arrived = '(sum(increase(cartmesh_events_total{type=~"offer[.]sent[.].*"}[30m])) or vector(0))'
    failed = 'sum(increase(cartmesh_events_total{type=~"offer[.]failed[.].*"}[30m]))'
    return {
        "name": "cartmesh-shop",
        "rules": [
            rule(
                "CartmeshOffersNotSent",
                f"{approved} > 10 and {arrived} == 0",
                "10m",
                "critical",
                "Offers are approved and none is sent",
                "The channels service or the mail server is down: its log says which.",
            ),
            rule(
                "CartmeshOffersFail",
                f"{failed} / {approved} > 0.1",
                "10m",
                "warning",
                "{{ $value | humanizePercentage }} of the offers cannot be sent",
                "offer.failed events say why.",
            ),
            rule(
                "CartmeshSendingPaused",
                "max by (region) (cartmesh_sending_paused_domains) > 0",
                "0m",
                "warning",
                "Offers to {{ $value }} domains are held in {{ $labels.region }}: too many bounce or are called spam",
                "Find out why, then let them go on at the console's page Sender; after three days they are withdrawn.",
            ),
            rule(
                "CartmeshStockViolated",
                "max by (region) (cartmesh_stock_violations) > 0",
                "0m",
                "critical",
                "The stock of {{ $labels.region }} does not add up: a unit may have been sold twice",
                "`cartmesh stock audit` says of which SKU, and what happened to it.",
            ),
            rule(
                "CartmeshCodesExhausted",
                "max by (region) (cartmesh_code_lists_exhausted) > 0",
                "0m",
                "critical",
                "A code list has run out in {{ $labels.region }}: offers that need a code are held",
                "Import more codes on the console's page Offers and codes, which shows what is left.",
            ),
            rule(
                "CartmeshModelDrifted",
                f"max by (model) (cartmesh_model_drift_psi) > {DRIFTED}",
                "1h",
                "warning",
                "Shoppers are no longer those that {{ $labels.model }} learnt from (PSI {{ $value | humanize }})",
                "The next review trains another model; `cartmesh models list` shows the candidates.",
            ),
            rule(
                "CartmeshModelDishonest",
                "max by (model) (cartmesh_model_calibration_error) > 0.1",
                "1h",
                "warning",
                "{{ $labels.model }} says probabilities that do not come true (off by {{ $value | humanize }})",
                "Retrain, or roll back to the version before.",
            ),
        ],
    }
