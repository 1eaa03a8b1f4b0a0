"""Whether a channel can do what not every one can: found out once for each class of channels.

To compare an object with a protocol takes as long as a query; it is asked for every payment.
"""

_FOUND: dict[tuple[type, type], bool] = {}


def is_able(channel: object, protocol: type) -> bool:
    """Tell whether a channel follows a protocol; its class decides, whatever the object holds."""
    key = (type(channel), protocol)
    found = _FOUND.get(key)
    if found is None:
        found = _FOUND[key] = isinstance(channel, protocol)
    return found
