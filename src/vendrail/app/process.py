"""A process as a server wants it: the garbage collector looks seldom, and requests come in quickly.

Records hold no cycles and die by reference counting; the collector's walks over a batch of them
cost a fifth of the Python time and free nothing. The thread that reads the sockets needs the
interpreter for a moment for every request: under load it would wait five milliseconds each time,
and requests would pile up where nothing sees them, neither the event loop nor what turns them away.
"""

import gc
import sys

_YOUNG_MAX = 500_000
_SWITCH_S = 0.0005


def tune_process() -> None:
    """Set what was imported aside for good, walk the rest seldom, let threads take turns soon."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, 20, 20)
    sys.setswitchinterval(_SWITCH_S)
