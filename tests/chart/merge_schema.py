"""The fields of Kubernetes' own kinds, for what `merge` may hold: `python -m tests.chart.merge_schema` writes them.

They stand in values.schema.json, under `definitions`, so that Helm itself refuses a field that does not exist. They are
those of the newest Kubernetes that the tests know; nothing is required, as what is merged is only a part.
"""

import json
from pathlib import Path

from kubernetes_validate.utils import schema_contents

SCHEMA = Path(__file__).parents[2] / "deploy" / "chart" / "values.schema.json"
NEWEST = "1.37"
KINDS = {
    "ServiceAccount": "v1",
    "ConfigMap": "v1",
    "Pod": "v1",
    "Service": "v1",
    "Job": "batch-v1",
    "CronJob": "batch-v1",
    "Deployment": "apps-v1",
    "HorizontalPodAutoscaler": "autoscaling-v2",
    "PodDisruptionBudget": "policy-v1",
    "NetworkPolicy": "networking-v1",
    "Ingress": "networking-v1",
}
_KEPT = ("type", "properties", "items", "additionalProperties", "enum", "oneOf")
_MARK = "of Kubernetes"


def fields():
    """Definitions by name: of each kind, and of whatever they are made of."""
    folder = f"kubernetes-json-schema/v{NEWEST}.0-local-strict"
    known = schema_contents(f"{folder}/_definitions.json", NEWEST)["$defs"]
    found = {
        kind: part(schema_contents(f"{folder}/{kind.lower()}-{group}.json", NEWEST)) for kind, group in KINDS.items()
    }
    parts = {short(name): schema for name, schema in known.items()}
    waiting = list(found.values())
    while waiting:
        for name in references(waiting.pop()) - found.keys():
            found[name] = part(parts[name])
            waiting.append(found[name])
    return {name: {"title": _MARK, **found[name]} for name in sorted(found)}


def part(schema):
    """A schema of some of an object's fields, without the words."""
    if isinstance(schema, list):
        return [part(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": f"#/definitions/{short(schema['$ref'].rpartition('/')[2])}"}
    made = {key: part(value) for key, value in schema.items() if key in _KEPT and key != "properties"}
    if "properties" in schema:
        made["properties"] = {name: part(one) for name, one in schema["properties"].items() if name != "status"}
    return made


def references(schema):
    """The definitions that a schema names."""
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    named = {schema["$ref"].rpartition("/")[2]} if isinstance(schema, dict) and "$ref" in schema else set()
    return named.union(*map(references, inner))


def short(name):
    """`io.k8s.api.core.v1.PodSpec` as `core.PodSpec`."""
    *_, group, _, kind = name.split(".")
    return f"{group}.{kind}"


def written():
    """The schema of the chart's values with these fields."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    ours = {name: one for name, one in schema["definitions"].items() if one.get("title") != _MARK}
    schema["definitions"] = ours | fields()
    service = ours["service"]["properties"]["merge"]["properties"]
    for kinds in (service, schema["properties"]["merge"]["properties"]):
        kinds.update({kind: {"$ref": f"#/definitions/{kind}"} for kind in kinds if kind in KINDS})
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(written(), encoding="utf-8")
