"""The generated AsyncAPI document as the parser of its authors reads it (npm: @asyncapi/parser)."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "deploy" / "generated" / "asyncapi.json"
CHECK = """
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
const wrong = diagnostics.filter(({ severity }) => severity <= 1).map(({ message, path }) => ({ message, path }));
console.log(JSON.stringify({ wrong, channels: document ? document.channels().all().length : 0 }));
"""


@pytest.mark.drill
@pytest.mark.timeout(600)
def test_the_parser_finds_nothing_wrong(tmp_path):
    """No error, no warning, and every event is a channel."""
    if not shutil.which("npm"):
        pytest.skip("npm is not installed")
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "@asyncapi/parser@3"]
    installed = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"no registry is reached: {installed.stderr.strip().splitlines()[-1]}")
    (tmp_path / "check.mjs").write_text(CHECK)

    ran = subprocess.run(["node", "check.mjs", DOCUMENT], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert json.loads(ran.stdout) == {"wrong": [], "channels": len(json.loads(DOCUMENT.read_text())["channels"])}
