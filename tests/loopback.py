"""A web server on this machine that behaves as badly as a test asks it to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Answers from `routes` and remembers what was asked.

    `routes[path]` is the bytes to send, or a function of the handler that answers by itself.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.routes: dict[str, bytes | Callable] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.stopped = threading.Event()
        self.outwaited = False  # a client waited for a stalled answer to its end

    def url(self, path: str) -> str:
        return f"{self.address}{path}"

    def ranges(self) -> list[str]:
        return [asked for _, asked in self.asked if asked]


@contextmanager
def serve() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers.get("Range")))
            answer = server.routes.get(self.path)
            try:
                if answer is None:
                    self.send_error(404)
                elif callable(answer):
                    answer(self)
                else:
                    send(self, answer)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client had enough

        def log_message(self, *_: object) -> None:
            pass

    service = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.daemon_threads = True
    server = Server(f"http://127.0.0.1:{service.server_port}")
    thread = threading.Thread(target=service.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        service.shutdown()
        service.server_close()


def send(
    handler,
    body: bytes,
    upto: int | None = None,
    kind: str = "application/gzip",
    tag: str = '"one"',
) -> None:
    """Send a file, or the part of it that was asked for; no more than `upto` bytes of it."""
    asked = handler.headers.get("Range")
    start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
    if start >= len(body) > 0:
        handler.send_response(416)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    handler.send_response(206 if asked else 200)
    handler.send_header("Content-Type", kind)
    handler.send_header("ETag", tag)
    if asked:
        handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
    handler.send_header("Content-Length", str(len(body) - start))
    handler.end_headers()
    handler.wfile.write(body[start : start + upto if upto is not None else None])
    if upto is not None:
        handler.wfile.flush()
        handler.connection.close()


def cut_once(body: bytes, after: int, tag: str = '"one"') -> Callable:
    """Break the first answer off after some bytes; then be well."""
    times = iter([after])

    def answer(handler) -> None:
        send(handler, body, upto=next(times, None), tag=tag)

    return answer


def stall(server: Server, body: bytes, after: int) -> Callable:
    """Send some bytes and then nothing more, with the connection open."""

    def answer(handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:after])
        handler.wfile.flush()
        if not server.stopped.wait(20):
            server.outwaited = True

    return answer


def page(handler) -> None:
    """What Google Drive sends for a file that too many have asked for."""
    send(handler, b"<!DOCTYPE html><html>Quota exceeded</html>", kind="text/html")
