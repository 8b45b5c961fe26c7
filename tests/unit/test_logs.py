"""Logs are JSON lines, whoever writes them."""

import json
import subprocess
import sys

WRITER = """
import logging
from mesh.observability.logs import configure_logs, log

configure_logs()
try:
    raise OSError("ssl: shutdown of ann@shop.example timed out")
except OSError as error:
    logging.getLogger("nats.aio.client").error("nats: encountered %s", "error", exc_info=error)
log.warning("ours", region="eu")
"""


def test_what_libraries_log_is_a_line_of_json_too():
    """nats-py's own error, which TLS causes, has its level, its logger and its traceback, and nobody's address."""
    written = subprocess.run(
        [sys.executable, "-c", WRITER], capture_output=True, text=True, timeout=60, check=True
    ).stderr

    library, ours = map(json.loads, written.splitlines())
    assert (library["event"], library["logger"], library["level"]) == (
        "nats: encountered error",
        "nats.aio.client",
        "error",
    )
    assert library["exception"][0]["exc_value"] == "ssl: shutdown of [address] timed out"
    assert (ours["event"], ours["level"], ours["region"]) == ("ours", "warning", "eu")
    assert library.keys() >= {"timestamp"}
