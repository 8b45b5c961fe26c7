"""How many personalised mails two processes render a second, with what the process that asks them does."""

import asyncio
import time

import pytest

from notifications.render_pool import RenderSettings, open_render_pool
from notifications.sample import sample
from notifications.template_variables import Shop, template_variables
from notifications.templates.kind import TEMPLATES
from notifications.templates.template import template_of

MAILS, AT_ONCE = 3_000, 32


@pytest.mark.drill
async def test_how_many_mails_are_rendered_a_second():
    """Each for another shopper, whose name is in it; the rate is printed."""
    template = template_of("abandoned-cart", TEMPLATES.read_folder("")["abandoned-cart"])
    decided, profile = sample("en")
    names, found = iter(range(MAILS)), []

    async with open_render_pool(RenderSettings(render_workers=2)) as pool:

        async def work():
            for number in names:
                data = template_variables(
                    decided, profile, Shop(), left_at=decided.due, unsubscribe_url=f"https://links.example/u/{number}"
                )
                data["customer"] = data["customer"] | {"name": f"Ada {number}"}
                found.append((number, await pool.render(template, "en", data)))

        began = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        took = time.perf_counter() - began

    print(f"{MAILS / took:.0f} mails a second")
    assert all(f"Ada {number}" in mail.html and f"/u/{number}" in mail.html for number, mail in found)
    assert len(found) == MAILS
