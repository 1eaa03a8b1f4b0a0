"""The embedded PostgreSQL: a real server of our own, in a data folder of ours, for one machine.

Whoever comes first starts the server, whoever comes later uses the same one, and the last to
leave stops it. A server orphaned by SIGKILL is simply found and used again.
"""

from vendrail.kernel.embedded.folder import program
from vendrail.kernel.embedded.server import EmbeddedServer, open_server, start

__all__ = ["EmbeddedServer", "open_server", "program", "start"]
