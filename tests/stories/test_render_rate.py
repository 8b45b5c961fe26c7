"""How many personalised mails two processes render a second, with what the process that asks them does."""

import asyncio
import os
import random
import time
from pathlib import Path

import msgspec
import pytest

from notifications.render_pool import RenderSettings, open_render_pool
from notifications.sample import sample
from notifications.template_variables import Shop, sum_of, template_variables
from notifications.templates.kind import TEMPLATES
from notifications.templates.template import template_of

MAILS, AT_ONCE = 3_000, 32


@pytest.mark.drill
@pytest.mark.parametrize("carts", ["alike", "of all kinds"])
async def test_how_many_mails_are_rendered_a_second(carts):
    """Each for another shopper, whose name is in it; carts are of one form, or of one to eight lines of all forms.

    Printed are the rate, and the CPU time of one mail in all three processes: two cores of their own render as many a
    second as that goes into two seconds, whatever else runs here. On two idle cores it was 1,250 and 884 mails a
    second, 1.35 and 1.85 ms; before there were outlines 619 and 683, 2.99 and 2.72 ms.
    """
    template = template_of("abandoned-cart", TEMPLATES.read_folder("")["abandoned-cart"])
    offer, profile = sample("en")
    dice, names, found = random.Random(7), iter(range(MAILS)), []

    def decided():
        if carts == "alike":
            return offer
        lines = [
            msgspec.structs.replace(
                dice.choice(offer.lines),
                quantity=dice.choice([1, 1, 1, 2]),
                image=dice.choice([None, "https://shop.test/a.png", "https://shop.test/b.png"]),
            )
            for _ in range(min(1 + int(dice.expovariate(0.5)), 8))
        ]
        return msgspec.structs.replace(
            offer, lines=tuple(lines), total=sum_of(tuple(lines)), recommended=offer.recommended[: dice.choice([0, 3])]
        )

    async with open_render_pool(RenderSettings(render_workers=2)) as pool:

        async def work():
            for number in names:
                data = template_variables(
                    decided(), profile, Shop(), left_at=offer.due, unsubscribe_url=f"https://links.example/u/{number}"
                )
                data["customer"] = data["customer"] | {"name": f"Ada {number}"}
                found.append((number, await pool.render(template, "en", data)))

        children = [worker.pid for worker in pool._all]
        began, before = time.perf_counter(), _cpu(children)
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        took, cpu = time.perf_counter() - began, _cpu(children) - before

    per_mail = cpu / MAILS
    print(
        f"carts {carts}: {MAILS / took:.0f} mails a second; {1000 * per_mail:.2f} ms of CPU each, "
        f"{2 / per_mail:.0f} a second on two cores of their own"
    )
    assert all(f"Ada {number}" in mail.html and f"/u/{number}" in mail.html for number, mail in found)
    assert len(found) == MAILS


def _cpu(children):
    """Seconds of CPU of this process and of others."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in children]
    ticks = sum(int(stat[11]) + int(stat[12]) for stat in fields)
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")
