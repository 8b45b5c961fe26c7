"""The documentation as a browser shows it, with no internet behind it."""

import asyncio
import shutil

import httpx
import pytest

from mesh.runtime.run import running
from services import gateway
from services.gateway.foreign import translations

BROWSER = shutil.which("chromium")


@pytest.mark.skipif(BROWSER is None, reason="no chromium on PATH: the page is not looked at")
async def test_the_page_shows_every_operation(mesh, tmp_path):
    """Swagger UI starts under the page's own policy and lists what can be called."""
    async with running(gateway.service, mesh, http=("127.0.0.1", 0)) as run:
        process = await asyncio.create_subprocess_exec(
            BROWSER,
            *("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=30000", "--dump-dom"),
            f"--user-data-dir={tmp_path}",
            f"http://127.0.0.1:{run.port}/docs",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            shown, _ = await asyncio.wait_for(process.communicate(), 60)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    for words in (b"Store events", b"Live offers of a visitor", b"The script tag to paste into a page", b"CartUpdated"):
        assert words in shown


async def test_every_path_says_what_it_is_for_and_shows_an_example(mesh):
    """Each operation has words, each of its parameters too, and what it responds is shown."""
    async with (
        running(gateway.service, mesh, http=("127.0.0.1", 0)) as run,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", timeout=60) as client,
    ):
        described = (await client.get("/docs/openapi.json")).json()

    operations = {(path, method): one for path, of in described["paths"].items() for method, one in of.items()}
    assert len(operations) == 12 + sum(len(one.paths) for one in translations())
    assert len({one["summary"] for one in operations.values()}) == len(operations)
    for name, operation in operations.items():
        assert len(operation["description"]) > 60, name
        assert all(one["description"] and "example" in one for one in operation.get("parameters", [])), name
        for status, response in operation["responses"].items():
            assert all("example" in content for content in response["content"].values()), (name, status)
    assert {tag for one in operations.values() for tag in one["tags"]} == {one["name"] for one in described["tags"]}


async def test_every_example_can_be_sent_as_it_stands(mesh, monkeypatch):
    """With a write key, or where the summary says so with a server key; each is stored whole."""
    monkeypatch.setenv("CARTMESH_SERVER_KEYS", "only-servers-know")
    async with (
        running(gateway.service, mesh, http=("127.0.0.1", 0)) as run,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{run.port}", timeout=60) as client,
    ):
        described = (await client.get("/docs/openapi.json")).json()
        page = await client.get("/docs")
        look = await client.get("/docs/static/docs.css")
        body = described["paths"]["/v1/events"]["post"]["requestBody"]["content"]["application/json"]
        answers = {}
        for name, example in body["examples"].items():
            key = "only-servers-know" if "(server key)" in example["summary"] else "demo"
            sent = await client.post("/v1/events", json=example["value"], headers={"authorization": f"Bearer {key}"})
            answers[name] = (sent.status_code, sent.json())

    assert len(answers) >= 6
    for name, (status, verdict) in answers.items():
        sent_events = len(body["examples"][name]["value"]["events"])
        assert (status, verdict["accepted"], verdict["rejected"]) == (202, sent_events, []), (name, verdict)
        assert not verdict.get("ignored"), (name, verdict)
    assert '<meta name="color-scheme" content="light dark">' in page.text
    assert ".dark-mode" in look.text
