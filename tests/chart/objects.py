"""What objects of the chart have in common, as the tests expect it."""


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


SELECTED = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}


def pods(component):
    return {"matchLabels": {name: labels(component)[name] for name in labels(component) if name in SELECTED}}


def environment(deployment):
    entries = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    names = [entry["name"] for entry in entries]
    assert sorted(set(names)) == sorted(names), "a variable is set twice"
    return {entry["name"]: entry.get("value") or entry["valueFrom"]["secretKeyRef"] for entry in entries}
