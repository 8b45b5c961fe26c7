"""Call: one call of the Segment spec, with what all events that follow from it have in common."""

from dataclasses import dataclass, field
from typing import Any

from mesh.errors import InvalidField

Fields = dict[str, Any]


@dataclass(slots=True)
class Call:
    """A call as it was sent; `by` is who sent it, `shared` what every event of it has: a mapping may add to it.

    What stands in `shared` is known even if the rest is wrong: a refused order still ends its shopper's offers.
    """

    fields: Fields
    by: str
    shared: Fields = field(default_factory=dict)

    def object(self, name: str) -> Fields:
        """A field that is an object; empty where it is absent. Raises InvalidField for anything else."""
        found = self.fields.get(name)
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise InvalidField(f"$.{name}", "it must be a JSON object")
        return found

    @property
    def properties(self) -> Fields:
        """What a `track` is about."""
        return self.object("properties")

    @property
    def context(self) -> Fields:
        """Where it happened; a library fills it, so one that is no object says nothing."""
        found = self.fields.get("context")
        return found if isinstance(found, dict) else {}
