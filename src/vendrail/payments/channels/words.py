"""What a channel's settings are called in more languages than its own table says.

Beside the module of a channel may lie `<kind>.toml`: a table for each language, in it a label and a
help for each setting. So the table stays short, and a translator touches no program.
"""

import inspect
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from vendrail.payments.channels.base import Channel, Setting


def settings_said(channel: Channel[Any], setting: Setting) -> dict[str, list[str]]:
    """Give label and help of a setting by language."""
    said = {tag: list(words) for tag, words in setting.said.items()}
    for tag, settings in _beside(type(channel)).items():
        if words := settings.get(setting.name):
            said[tag] = list(words)
    return said


@cache
def _beside(channel: type[Channel[Any]]) -> Mapping[str, Mapping[str, list[str]]]:
    """Read the file beside a channel's module; most others' channels have none."""
    path = Path(inspect.getfile(channel)).with_name(f"{channel.kind}.toml")
    return tomllib.loads(path.read_text("utf-8")) if path.is_file() else {}
