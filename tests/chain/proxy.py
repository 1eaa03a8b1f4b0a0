"""A node's bad days: stands before the real one, and fails as it is told."""

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

AWAY, UNCLEAR, SLOW = "away", "unclear", "slow"
_LARGE = 1 << 30


class Proxy:
    """Hands requests on to a node, but for those that trouble is ordered for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(trust_env=False, timeout=30)
        self._lock = threading.Lock()
        self.bytes_max = _LARGE  # Longer answers say that they are longer than anybody reads.
        self._orders: list[tuple[str, int]] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, answer = proxy.answer(body)
                self.send_response(status)
                self.send_header("content-type", "application/json")
                is_large = len(answer) > proxy.bytes_max
                self.send_header("content-length", str(_LARGE if is_large else len(answer)))
                self.end_headers()
                if is_large:
                    self.close_connection = True
                    return
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v2/a-key-of-the-node"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def order(self, trouble: str, count: int) -> None:
        """Order trouble for the next so many requests; 0: for all."""
        with self._lock:
            self._orders.append((trouble, count))

    def calm(self) -> None:
        """Take all trouble back."""
        with self._lock:
            self._orders.clear()

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Answer as the node does, or as it is ordered."""
        trouble = self._next()
        if trouble == AWAY:
            return 503, b"away"
        if trouble == UNCLEAR:
            return 200, b'{"jsonrpc": "2.0"}'
        if trouble == SLOW:
            time.sleep(1.5)
        reply = self._client.post(
            self._url, content=body, headers={"content-type": "application/json"}
        )
        return reply.status_code, reply.content

    def _next(self) -> str:
        with self._lock:
            if not self._orders:
                return ""
            trouble, count = self._orders[0]
            if count == 1:
                self._orders.pop(0)
            elif count:
                self._orders[0] = (trouble, count - 1)
            return trouble

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._client.close()
