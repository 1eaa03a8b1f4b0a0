"""A process as a server wants it: the garbage collector looks seldom, for there is little to find.

Records hold no cycles and die by reference counting; the collector's walks over a batch of them
cost a fifth of the Python time and free nothing.
"""

import gc

_YOUNG_MAX = 500_000


def tune_process() -> None:
    """Set what was imported aside for good, and walk the rest seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, 20, 20)
