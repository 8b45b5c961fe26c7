"""A small IMAP4rev1 server (RFC 3501) over TCP, with as much of it as a client needs that looks for unseen mails."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ImapServer:
    """One mailbox: mails by uid, and the flags of each."""

    def __init__(self, user: str, password: str) -> None:
        self.mails: dict[int, bytes] = {}
        self.flags: dict[int, set[str]] = {}
        self.commands: list[str] = []
        self._login, self.port = (user, password), 0

    def arrive(self, raw: bytes) -> int:
        """A mail is delivered; its uid."""
        uid = len(self.mails) + 1
        self.mails[uid], self.flags[uid] = raw, set()
        return uid

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it says goodbye."""
        writer.write(b"* OK ready\r\n")
        while line := await reader.readline():
            tag, _, command = line.decode().strip().partition(" ")
            self.commands.append(command)
            writer.write(self._answer(tag, command))
            await writer.drain()
            if command == "LOGOUT":
                break
        writer.close()

    def _answer(self, tag: str, command: str) -> bytes:
        told, is_right = self._told(command)
        return told + f"{tag} {'OK' if is_right else 'NO'} done\r\n".encode()

    def _told(self, command: str) -> tuple[bytes, bool]:
        """What is told before a command's end, and whether it ends well."""
        told, is_right = b"", True
        match shlex.split(command):
            case ["CAPABILITY"]:
                told = b"* CAPABILITY IMAP4rev1\r\n"
            case ["LOGIN", user, password]:
                is_right = (user, password) == self._login
            case ["SELECT", "Bounces here"]:
                told = f"* {len(self.mails)} EXISTS\r\n".encode()
            case ["UID", "SEARCH", "UNSEEN"]:
                unseen = " ".join(str(uid) for uid, flags in self.flags.items() if "\\Seen" not in flags)
                told = f"* SEARCH {unseen}\r\n".encode()
            case ["UID", "FETCH", uid, *_]:
                body = self.mails[int(uid)][: int(re.findall(r"<0\.(\d+)>", command)[0])]
                told = f"* {uid} FETCH (UID {uid} BODY[]<0> {{{len(body)}}}\r\n".encode() + body + b")\r\n"
            case ["UID", "STORE", uid, *_]:
                self.flags[int(uid)] |= set(re.findall(r"\\\w+", command))
            case ["LOGOUT"]:
                told = b"* BYE\r\n"
            case _:
                is_right = False
        return told, is_right


@asynccontextmanager
async def imap_server(user: str = "bounces", password: str = "a b") -> AsyncIterator[ImapServer]:
    """The server at a free port, until the block ends."""
    box = ImapServer(user, password)
    server = await asyncio.start_server(box.serve, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box
