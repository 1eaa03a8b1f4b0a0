"""The channel kit: what every channel must do, as tests that its author runs; see the guide.

It ships with the product, so that a channel from anywhere can be held to the same promises as ours.
"""

import pytest

pytest.register_assert_rewrite(
    "vendrail.channelkit.arrivals",
    "vendrail.channelkit.departures",
    "vendrail.channelkit.doubts",
    "vendrail.channelkit.finality",
    "vendrail.channelkit.rig",
    "vendrail.channelkit.secrecy",
)
