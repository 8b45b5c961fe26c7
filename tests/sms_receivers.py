"""Twilio's Messages API as its documentation has it, over real HTTP, written for tests and by nobody's library."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

ACCOUNT, SECRET, NUMBER = "AC" + "1" * 32, "auth-token-of-tests", "+15005550006"
SMS_SETTINGS = {"SMS_PROVIDER": "twilio", "SMS_FROM": NUMBER, "TWILIO_ACCOUNT": ACCOUNT, "TWILIO_SECRET": SECRET}
"""What makes Twilio the provider of text messages, beside `TWILIO_URL`."""
Answer = tuple[int, dict[str, object]]


class TwilioReceiver:
    """What came, and what is answered: `answer` gets a message's fields; None: it hangs up without an answer."""

    def __init__(self) -> None:
        self.messages: list[dict[str, str]] = []
        self.wrong: list[str] = []
        self.answer: Callable[[dict[str, str]], Answer | None] = lambda _: (201, {})
        self.url = ""

    def take(self, path: str, authorization: str, body: str) -> Answer | None:
        """The answer to a request, as Twilio judges it."""
        name, _, secret = b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        if (name, secret) != (ACCOUNT, SECRET):
            return 401, {"code": 20003, "message": "Authenticate", "status": 401}
        if path != f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json":
            return 404, {"code": 20404, "message": "not found", "status": 404}
        fields = {key: values[0] for key, values in parse_qs(body, strict_parsing=True).items()}
        if not fields["To"].startswith("+") or not fields.get("Body") or len(fields["Body"]) > 1600:
            self.wrong.append(body)
            return 400, {"code": 21211, "message": "Invalid 'To' Phone Number", "status": 400}
        self.messages.append(fields)
        answer = self.answer(fields)
        if answer is None or answer[0] >= 300:
            return answer
        sid = f"SM{len(self.messages):032x}"
        return answer[0], {"sid": sid, "status": "queued", "to": fields["To"], **answer[1]}


@contextmanager
def twilio_receiver() -> Iterator[TwilioReceiver]:
    """The receiver, until the block ends."""
    receiver = TwilioReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            answer = receiver.take(self.path, self.headers["Authorization"], body)
            if answer is None:
                self.close_connection = True
                return
            content = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
