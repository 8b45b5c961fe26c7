"""Schemas: every stored version of every event as JSON Schema, and the gate that keeps a wire type what it was."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from mesh.event import Declaration, declared

Schema = dict[str, Any]
_WORDS = {"title", "description", "default"}
"""Parts of a schema that do not bind anybody."""


def schemas(before: Mapping[str, Schema] | None = None) -> dict[str, Schema]:
    """Wire type -> what binds writers and readers: its key, whether it is personal, and its JSON Schema.

    Of older versions of what is declared, which no class describes any more, it is what was committed `before`.
    """
    found = {declaration.type: contract(declaration) for declaration in declared()}
    older = {type_ for declaration in declared() for type_ in declaration.older_types}
    return dict(sorted((found | {type_: old for type_, old in (before or {}).items() if type_ in older}).items()))


def unkept(before: Mapping[str, Schema]) -> list[str]:
    """The older versions of what is declared whose schema was not committed."""
    return [type_ for declaration in declared() for type_ in declaration.older_types if type_ not in before]


def moved(before: Mapping[str, Schema]) -> dict[str, list[str]]:
    """Wire type -> why it cannot be a later version of what was committed: it would be stored elsewhere."""
    found = {}
    for declaration in declared():
        for type_ in declaration.older_types:
            old = before.get(type_)
            if old and old["personal"] != declaration.personal:
                found[declaration.type] = [f"personal was {old['personal']!r} in {type_}"]
    return found


def contract(declaration: Declaration) -> Schema:
    """One event's entry in `schemas`."""
    # Through JSON, so that it compares equal with what was committed.
    schema = json.loads(msgspec.json.encode(msgspec.json.schema(declaration.kind)))
    encrypted = {"encrypted": sorted(declaration.encrypted)} if declaration.encrypted else {}
    return {"key": declaration.key, "personal": declaration.personal, **encrypted, "schema": schema}


def broken(before: Mapping[str, Schema], now: Mapping[str, Schema]) -> dict[str, list[str]]:
    """Wire type -> what changed in it that old events or old readers cannot bear.

    A field may be added with a default; nothing else may change under the same version.
    """
    found = {}
    for type_, old in before.items():
        new = now.get(type_)
        if new is None:
            continue
        reasons = [
            f"{name} was {old.get(name)!r} and is {new.get(name)!r}"
            for name in ("key", "personal", "encrypted")
            if old.get(name) != new.get(name)
        ]
        reasons += _differences(old["schema"], new["schema"], _Definitions(old["schema"], new["schema"]), "")
        if reasons:
            found[type_] = reasons
    return found


class _Definitions:
    """Resolves `$ref` on both sides, and remembers pairs that are being compared: types may be recursive."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old, self._new = old.get("$defs", {}), new.get("$defs", {})
        self.seen: set[tuple[str, str]] = set()

    def old(self, schema: Schema) -> Schema:
        return _resolved(schema, self._old)

    def new(self, schema: Schema) -> Schema:
        return _resolved(schema, self._new)


def _resolved(schema: Schema, definitions: Mapping[str, Schema]) -> Schema:
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return schema


def _differences(old: Schema, new: Schema, known: _Definitions, path: str) -> list[str]:
    pair = (old.get("$ref", ""), new.get("$ref", ""))
    if all(pair):
        if pair in known.seen:
            return []
        known.seen.add(pair)
    old, new = known.old(old), known.new(new)
    if "properties" in old and "properties" in new:
        return _fields(old, new, known, path)
    if "anyOf" in old and "anyOf" in new and len(old["anyOf"]) == len(new["anyOf"]):
        parts = zip(old["anyOf"], new["anyOf"], strict=True)
        return [difference for one, other in parts for difference in _differences(one, other, known, path)]
    inner: list[str] = []
    for part in ("items", "additionalProperties"):
        if isinstance(old.get(part), dict) and isinstance(new.get(part), dict):
            inner += _differences(old[part], new[part], known, f"{path}[]")
            old, new = _without(old, part), _without(new, part)
    if len(old.get("prefixItems", ())) == len(new.get("prefixItems", ())):
        for one, other in zip(old.get("prefixItems", ()), new.get("prefixItems", ()), strict=True):
            inner += _differences(one, other, known, f"{path}[]")
        old, new = _without(old, "prefixItems"), _without(new, "prefixItems")
    if _without(old, *_WORDS) != _without(new, *_WORDS):
        inner.append(f"field {path.lstrip('.')} changed its type from {_brief(old)} to {_brief(new)}")
    return inner


def _fields(old: Schema, new: Schema, known: _Definitions, path: str) -> list[str]:
    found = []
    for name, field in old["properties"].items():
        if name not in new["properties"]:
            found.append(f"field {path.lstrip('.')}{'.' if path else ''}{name} was removed")
        else:
            found += _differences(field, new["properties"][name], known, f"{path}.{name}")
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        how = "became required" if name in old["properties"] else "was added without a default"
        found.append(f"field {path.lstrip('.')}{'.' if path else ''}{name} {how}")
    return found


def _without(schema: Schema, *names: str) -> Schema:
    return {name: value for name, value in schema.items() if name not in names}


def _brief(schema: Schema) -> str:
    return json.dumps(_without(schema, *_WORDS, "$defs", "properties"), separators=(",", ":"))[:120]
