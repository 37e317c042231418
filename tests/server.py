"""A server on the loopback address."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer for the length of a block; gives the address. Where nothing can be reached there, the test is skipped."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            try:
                socket.create_connection(server.server_address[:2], timeout=60).close()
            except OSError as fault:
                pytest.skip(f"no server can be reached on the loopback address: {fault}")
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
