"""Caps: a channel that may take only a share of the payments takes those it is best for.

Its price says by how much it must be better than the others to be chosen. The price rises while it
takes more than its share and falls while it takes less, so that its share goes where it does most.
"""

from collections.abc import Mapping

WINDOW = 200.0  # Of so many payments the share is held,
SLACK = 0.02  # so much more is let pass before others come first whatever they are worth.
_AIM = 0.97  # Of the cap: so that chance does not carry it over.
_GAIN = 0.005
_STEP_MAX = 50


class Gauges:
    """What capped channels took of late, and their prices."""

    def __init__(self) -> None:
        self._caps: dict[str, float] = {}
        self._taken: dict[str, float] = {}
        self._prices: dict[str, float] = {}

    def set(self, caps: Mapping[str, float]) -> None:
        """Say which channels are capped, each to a share between 0 and 1."""
        self._caps = dict(caps)
        for known in (self._taken, self._prices):
            for channel in known.keys() - caps.keys():
                del known[channel]

    @property
    def is_needed(self) -> bool:
        """Tell whether any channel is capped."""
        return bool(self._caps)

    def price(self, channel: str) -> float:
        """Say by how much a channel must be better to be chosen."""
        return self._prices.get(channel, 0.0)

    def taken(self, channel: str) -> float:
        """Give a capped channel's share of late."""
        return self._taken.get(channel, 0.0)

    def is_full(self, channel: str) -> bool:
        """Tell whether a channel has had its share, and more than a little over."""
        cap = self._caps.get(channel)
        return cap is not None and self._taken.get(channel, 0.0) > cap + min(SLACK, cap)

    def note(self, shares: Mapping[str, float], count: int = 1) -> None:
        """Note payments that were routed by such shares, among which a capped one might be."""
        for channel, cap in self._caps.items():
            share = shares.get(channel, 0.0)
            excess = share - cap * _AIM
            if excess > 0.0 or not self.is_full(channel):  # Held back, it is not unwanted.
                price = self.price(channel) + _GAIN * min(count, _STEP_MAX) * excess
                self._prices[channel] = min(max(price, 0.0), 1.0)
            kept = (1.0 - 1.0 / WINDOW) ** count
            taken = self._taken.get(channel, 0.0)
            self._taken[channel] = taken * kept + share * (1.0 - kept)
