"""Alert rule: one rule of a rule file for Prometheus.

https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules/
"""

from typing import Any

Rule = dict[str, Any]


def rule(name: str, expression: str, lasting: str, severity: str, summary: str, advice: str, **labels: str) -> Rule:
    """An alert: it fires when the expression has held for `lasting` (`5m`); `advice` says what to do."""
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity, **labels},
        "annotations": {"summary": summary, "description": advice},
    }


def record(name: str, expression: str) -> Rule:
    """A figure that Prometheus computes again and again, under a name of its own."""
    return {"record": name, "expr": expression, "labels": {}}
