"""The chart, rendered by the real helm; what it made, judged by the schemas of Kubernetes."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "chart"
REGIONS = ROOT / "deploy" / "regions"


def run_helm(*words, chart=CHART, stdin=None):
    binary = Path(sys.executable).parent / "helm"
    verb, *rest = words
    command = [str(binary), verb, *(["cartmesh"] if verb == "template" else []), str(chart), *rest]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, input=stdin)


@cache
def templated(region, values, folder):
    """`helm template` with a region's file and further values in YAML."""
    return run_helm("template", "-f", str(REGIONS / f"{region}.yaml"), "-f", "-", chart=folder, stdin=values)


class Rendered(dict):
    """Objects by (kind, name without the release's)."""

    @staticmethod
    def of(text):
        documents = [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]
        made = Rendered()
        for document in documents:
            name = document["metadata"]["name"].removeprefix("cartmesh").removeprefix("-")
            assert (document["kind"], name) not in made, f"{document['kind']} {name} is there twice"
            made[document["kind"], name] = document
        return made

    def names(self, kind):
        return sorted(name for found, name in self if found == kind)


@pytest.fixture
def helm():
    """The real helm on the chart: `helm("lint", ...)`."""
    return run_helm


@pytest.fixture
def chart():
    """The chart of a region with values of one's own on top; fails with helm's words."""

    def make(region="eu", values=None, *, folder=CHART):
        ran = templated(region, yaml.safe_dump(values or {}), folder)
        assert ran.returncode == 0, ran.stderr
        return Rendered.of(ran.stdout)

    return make


@pytest.fixture
def refusal():
    """What helm says of values that the chart does not take."""

    def make(values, region="eu", *, folder=CHART):
        ran = templated(region, yaml.safe_dump(values), folder)
        assert ran.returncode != 0, "the chart took it"
        return ran.stderr

    return make


@pytest.fixture
def copied(tmp_path):
    """A copy of the chart that a test may change."""
    return Path(shutil.copytree(CHART, tmp_path / "chart"))


@cache
def judge(kind, api, version):
    """The validator of a kind: what `kubernetes_validate.validate(..., strict=True)` makes anew for every object."""
    import jsonschema
    from kubernetes_validate.utils import schema_contents
    from referencing import Registry, Resource

    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    group = "-".join([api.split("/")[0].partition(".")[0], *api.split("/")[1:]])
    schema = schema_contents(f"{folder}/{kind.lower()}-{group}.json", version)
    registry = Resource.from_contents(schema) @ (definitions(folder) @ Registry())
    return jsonschema.Draft202012Validator(schema, registry=registry)


@cache
def definitions(folder):
    from kubernetes_validate.utils import schema_contents
    from referencing import Resource

    return Resource.from_contents(schema_contents(f"{folder}/_definitions.json", folder))


@pytest.fixture
def validate():
    """Judge an object by the schema of a Kubernetes version, strictly: unknown fields are errors."""

    def validate(found, version):
        judge(found["kind"], found["apiVersion"], version).validate(found)

    return validate
