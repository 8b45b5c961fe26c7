"""Timeline: what happens in all regions as it happens; alive on a terminal, plain lines elsewhere."""

import time
from collections import Counter, deque
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

COLUMNS = ("orders", "carts left", "offers sent", "dropped", "recovered")


class Timeline:
    """A table of the regions over the newest lines."""

    LINES = 14

    def __init__(self, console: Console, regions: tuple[str, ...]) -> None:
        self.console, self.regions = console, regions
        self.counts: dict[str, Counter[str]] = {region: Counter() for region in regions}
        self.links = dict.fromkeys(regions, "linked")
        self._lines: deque[Text] = deque(maxlen=self.LINES)
        self._began = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        """Begin to draw, where somebody can see it."""
        if self.console.is_terminal:
            self._live = Live(get_renderable=self._draw, console=self.console, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the last picture standing."""
        if self._live:
            self._live.stop()

    def add(self, text: str, *, region: str | None = None, style: str = "") -> None:
        """Add a line."""
        line = Text(f"{time.monotonic() - self._began:6.1f} s  {region or '':3} ", style="dim")
        line.append(text, style=style)
        self._lines.append(line)
        if self._live is None:
            self.console.print(line, soft_wrap=True)

    def count(self, region: str, what: str) -> None:
        """One more of these in a region."""
        self.counts[region][what] += 1

    def _draw(self) -> RenderableType:
        table = Table("region", "", *COLUMNS)
        for region in self.regions:
            state = Text(self.links[region], style="green" if self.links[region] == "linked" else "bold red")
            table.add_row(region, state, *(str(self.counts[region][column]) for column in COLUMNS))
        return Group(table, *self._lines)
