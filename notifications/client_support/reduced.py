"""Reduced: the data of caniemail.com as the table that is kept here.

    curl -sS https://www.caniemail.com/api/data.json | python -m notifications.client_support.reduced

writes `features.json`.
"""

import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from notifications.client_support.marks import searches
from notifications.client_support.support import TABLE, Feature, Table

FAMILIES = ("apple-mail", "gmail", "outlook", "yahoo", "aol", "samsung-email", "thunderbird", "gmx", "web-de")
"""The programs that many shoppers use. Of all others most miss something of every mail."""
PLATFORMS = {
    "desktop-webmail": "web",
    "mobile-webmail": "mobile web",
    "ios": "iOS",
    "android": "Android",
    "windows": "Windows",
    "macos": "macOS",
}
NAMES = {
    ("outlook", "windows-mail"): "Windows Mail",
    ("outlook", "outlook-com"): "Outlook.com",
    ("thunderbird", "windows"): "Thunderbird",
    ("thunderbird", "macos"): "Thunderbird",
    ("apple-mail", "macos"): "Apple Mail (macOS)",
    ("apple-mail", "ios"): "Apple Mail (iOS)",
}
STILL_USED = "2007"
"""Of Outlook for Windows, whose versions are years, each since this one counts: companies keep them for long."""


def reduced(data: dict[str, Any]) -> Table:
    """The table of an answer of caniemail.com."""
    families = data["nicenames"]["family"]
    features = {
        one["slug"]: Feature(title=one["title"], missing=tuple(dict.fromkeys(_missing(one["stats"], families))))
        for one in sorted(data["data"], key=lambda one: str(one["slug"]))
        if one["slug"] in searches()
    }
    return Table(updated=data["last_update_date"][:10], features={k: v for k, v in features.items() if v.missing})


def _missing(stats: dict[str, Any], families: dict[str, str]) -> Iterator[str]:
    for family in FAMILIES:
        for platform, versions in stats.get(family, {}).items():
            name = NAMES.get((family, platform)) or f"{families[family]} ({PLATFORMS[platform]})"
            if (family, platform) == ("outlook", "windows"):
                years = [year for year, said in versions.items() if said.startswith("n") and year >= STILL_USED]
                if years:
                    yield f"Outlook {min(years)}-{max(years)[-2:]} (Windows)"
            elif versions and list(versions.values())[-1].startswith("n"):
                yield name


def written(table: Table) -> str:
    """The table as JSON, a line for each feature."""
    lines = [
        f"{msgspec.json.encode(name).decode()}: {msgspec.json.encode(one).decode()}"
        for name, one in table.features.items()
    ]
    features = ",\n".join(lines)
    return f'{{"updated": "{table.updated}", "features": {{\n{features}\n}}}}\n'


if __name__ == "__main__":
    TABLE.write_text(written(reduced(msgspec.json.decode(sys.stdin.buffer.read()))), encoding="utf-8")
