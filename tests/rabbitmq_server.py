"""A RabbitMQ of one's own: Debian's server as a process with its own node name, ports and folder, ended by its id."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from mesh.runtime.ports import free_ports

BINARY = "/usr/lib/rabbitmq/bin/rabbitmq-server"
"""What Debian's /usr/sbin/rabbitmq-server calls; that one takes no other user than its own."""
INSTALLED = Path(BINARY).exists()
ABSENT = "no rabbitmq-server: apt-get install rabbitmq-server"
PATIENCE = 120.0
USER = PASSWORD = "guest"


@dataclass
class RabbitMQ:
    """A server that can be stopped and started again on the same port."""

    folder: Path
    port: int
    _node: str = field(default_factory=lambda: f"test{token_hex(4)}@localhost")
    _distribution: int = field(default_factory=lambda: free_ports(1)[0])
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address without user and password."""
        return f"amqp://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start it, and wait until it speaks AMQP."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "rabbitmq.conf"
        config.write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\nloopback_users = none\n")
        (self.folder / "enabled_plugins").write_text("[].\n")
        environment = {
            **os.environ,
            "HOME": str(self.folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": str(self.folder / "crash.dump"),
            "RABBITMQ_NODENAME": self._node,
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(
                ("-start_epmd false", f"-erl_epmd_port {self._distribution}", "+S 1:1 +sbwt none")
            ),
        }
        with (self.folder / "output.log").open("ab") as log:
            self._process = subprocess.Popen([BINARY], env=environment, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"RabbitMQ did not start: {(self.folder / 'output.log').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once; what was confirmed is on its disk."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
            self._process = None

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"
        return False


@contextmanager
def opened_rabbitmq(folder: Path) -> Iterator[RabbitMQ]:
    """A server until the block ends."""
    server = RabbitMQ(folder, free_ports(1)[0])
    try:
        server.start()
        yield server
    finally:
        server.stop()
