"""A known workload: a process that makes sockets and talks through them when told to.

Reads commands from stdin, each a line of JSON, and answers each with another once it is done, like opener.py. Sockets
have names; so many bytes, or datagrams of these sizes, are sent and received, and nothing else.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

CLONE_NEWNET = 0x4000_0000
CHUNK = 65_536
SOCKETS: dict[str, socket.socket] = {}


def enter(namespace: str) -> None:
    """Go to a network namespace."""
    with Path("/run/netns", namespace).open() as file:
        # os.setns is there only from Python 3.12 on.
        assert ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) == 0


def _make(name: str, kind: int, address: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = SOCKETS[name] = socket.socket(family, kind)
    made.settimeout(20)
    made.bind((address, port))
    return int(made.getsockname()[1])


def udp(argument: tuple[str, str, int]) -> int:
    """Make a socket with an address and a port (0: any); return the port."""
    name, address, port = argument
    return _make(name, socket.SOCK_DGRAM, address, port)


def send_to(argument: tuple[str, str, int, list[int]]) -> None:
    """Send datagrams of these sizes."""
    name, address, port, sizes = argument
    for size in sizes:
        assert SOCKETS[name].sendto(bytes(size), (address, port)) == size


def receive_from(argument: tuple[str, list[int]]) -> None:
    """Receive datagrams of these sizes."""
    name, sizes = argument
    for size in sizes:
        assert len(SOCKETS[name].recv(CHUNK)) == size


def listen(argument: tuple[str, str]) -> int:
    """Listen at an address; return the port."""
    name, address = argument
    port = _make(name, socket.SOCK_STREAM, address, 0)
    SOCKETS[name].listen()
    return port


def connect(argument: tuple[str, str, str, int]) -> int:
    """Connect from an address to another and a port; return the own port."""
    name, address, peer, port = argument
    own = _make(name, socket.SOCK_STREAM, address, 0)
    SOCKETS[name].connect((peer, port))
    return own


def accept(argument: tuple[str, str]) -> None:
    """Accept a connection of a socket that listens."""
    name, listener = argument
    SOCKETS[name], _ = SOCKETS[listener].accept()
    SOCKETS[name].settimeout(20)


def send(argument: tuple[str, int]) -> None:
    """Send so many bytes."""
    name, size = argument
    SOCKETS[name].sendall(bytes(size))


def receive(argument: tuple[str, int]) -> None:
    """Receive so many bytes."""
    name, size = argument
    while size:
        size -= len(SOCKETS[name].recv(min(size, CHUNK)))


def close(name: str) -> None:
    """Close a socket."""
    SOCKETS.pop(name).close()


def in_fork(commands: list[tuple[str, Any]]) -> int:
    """Have a child do commands one after the other, and end; return its id."""
    child = os.fork()
    if child == 0:
        _be_child(commands)
    _, status = os.waitpid(child, 0)
    assert status == 0
    return child


def _be_child(commands: list[tuple[str, Any]]) -> NoReturn:
    status = 1
    try:
        for command, argument in commands:
            COMMANDS[command](argument)
        status = 0
    finally:
        os._exit(status)


COMMANDS = {
    command.__name__: command
    for command in (
        enter,
        udp,
        send_to,
        receive_from,
        listen,
        connect,
        accept,
        send,
        receive,
        close,
        in_fork,
    )
}


def main() -> None:
    """Do what is asked for until there is nothing more."""
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        command, argument = json.loads(line)
        print(json.dumps(COMMANDS[command](argument)), flush=True)


if __name__ == "__main__":
    main()
