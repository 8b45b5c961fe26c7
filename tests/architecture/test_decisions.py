"""Decision records: each has a number of its own, in its name and in its title."""

import re
from pathlib import Path

RECORDS = sorted((Path(__file__).parents[2] / "mesh" / "decisions").glob("*.md"))


def test_records_are_numbered_from_one_without_gaps():
    """Two that were written side by side do not share a number."""
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


def test_a_records_title_says_its_number():
    """A text that refers to a record by number leads to one."""
    titles = {record.name: record.read_text(encoding="utf-8").partition("\n")[0] for record in RECORDS}

    assert {name for name, title in titles.items() if not re.match(rf"# {int(name[:4])}\. ", title)} == set()
