"""A known workload: a client and a server of openssl, which say what they are told to."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.kernel import lab

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 24_433


@dataclass(frozen=True)
class Talk:
    """Two that have agreed on a key, and send nothing by themselves."""

    client: subprocess.Popen[bytes]
    server: subprocess.Popen[bytes]

    def say(self, text: bytes) -> None:
        """Have the client send it, and wait until the server has received it."""
        assert self.client.stdin
        assert self.server.stdout
        self.client.stdin.write(text)
        received = b""
        while len(received) < len(text):
            received += self.server.stdout.read(len(text) - len(received))
        assert received == text


@contextlib.contextmanager
def talk(namespace: str, folder: Path) -> Iterator[Talk]:
    """Start both in a network namespace; the folder is for key and certificate."""
    key, certificate = folder / "key", folder / "certificate"
    make = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    subprocess.run(
        [*make, "-subj", "/CN=test", "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL
    )
    commands = (
        ("s_server", "-quiet", "-accept", f"127.0.0.1:{PORT}", "-key", key, "-cert", certificate),
        ("s_client", "-quiet", "-connect", f"127.0.0.1:{PORT}"),
    )

    def listens() -> bool:
        # State and local port, as the kernel prints them.
        lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()
        return any(f":{PORT:04X} 00000000:0000 0A" in line for line in lines)

    started = []
    try:
        for command in commands:
            arguments = [*lab.netns_exec(namespace), "openssl", *map(str, command)]
            pipe, null = subprocess.PIPE, subprocess.DEVNULL
            started.append(subprocess.Popen(arguments, bufsize=0, stdin=pipe, stdout=pipe, stderr=null))
            assert lab.eventually(lambda: lab.in_namespace(namespace, listens), seconds=20)
        server, client = started
        talk = Talk(client, server)
        talk.say(b"x")
        yield talk
    finally:
        for each in started:
            each.kill()
            each.communicate()
