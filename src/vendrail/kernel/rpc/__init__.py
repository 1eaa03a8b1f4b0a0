"""Calls between services: the same Protocol in one process or over HTTP, in signed JSON batches.

`serve` mounts a service below `/rpc/<service>/<operation>`; `connect` builds an object with the
Protocol's operations that calls there; `guard` wraps the object of this process. Whichever it is,
no call is made while a transaction is open. Every operation is idempotent, so a call that got no
answer is made again. Errors come back as the kernel's own: Malformed, Unavailable, Broken.
"""

from vendrail.kernel.rpc.client import connect, disconnect, loopback, new_http_client
from vendrail.kernel.rpc.local import guard
from vendrail.kernel.rpc.operations import Operation, operations, service_name
from vendrail.kernel.rpc.server import serve
from vendrail.kernel.rpc.wire import REQUEST_BYTES_MAX, call_path, load_secret, sign_request

__all__ = [
    "REQUEST_BYTES_MAX",
    "Operation",
    "call_path",
    "connect",
    "disconnect",
    "guard",
    "load_secret",
    "loopback",
    "new_http_client",
    "operations",
    "serve",
    "service_name",
    "sign_request",
]
