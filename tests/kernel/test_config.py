"""Settings: read once, typed, each with its help; what is wrong is named with what is allowed."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from vendrail.kernel.codec import Record
from vendrail.kernel.config import (
    Help,
    PlatformSettings,
    describe,
    fields,
    load,
    load_platform,
    load_room,
    read_file,
)
from vendrail.kernel.errors import Malformed


class Mood(StrEnum):
    CALM = "calm"
    BRISK = "brisk"


class ShopSettings(Record, frozen=True):
    """An invented room."""

    name: Annotated[str, Help("Its name.")] = "shop"
    size_max: Annotated[int, Meta(ge=1, le=9), Help("How many.")] = 3
    pause_s: Annotated[float, Help("How long.")] = 1.5
    is_open: Annotated[bool, Help("Whether it is open.")] = True
    mood: Annotated[Mood, Help("Its mood.")] = Mood.CALM
    tags: Annotated[tuple[str, ...], Help("Its tags.")] = ()
    folder: Annotated[Path, Help("Its folder.")] = Path("x")
    api_secret: Annotated[str, Help("Its secret.")] = ""
    data_key_s: Annotated[float, Help("A time, no secret.")] = 600.0
    public_url: Annotated[str, Help("Shared with the platform.")] = ""
    body_bytes_max: Annotated[int, Help("Not shared with the platform.")] = 7


def test_defaults_need_no_setting():
    """With nothing set every setting has its default."""
    assert ShopSettings() == load(ShopSettings, "shop", {}, {})


def test_the_environment_goes_before_the_file():
    """A variable wins over the file, the file over the default."""
    settings = load(
        ShopSettings, "shop", {"VENDRAIL_SHOP_NAME": "env"}, {"name": "file", "size_max": 5}
    )

    assert ("env", 5, 1.5) == (settings.name, settings.size_max, settings.pause_s)


def test_texts_become_what_the_field_is():
    """Numbers, switches, choices, lists and paths are read from text."""
    settings = load(
        ShopSettings,
        "shop",
        {
            "VENDRAIL_SHOP_SIZE_MAX": " 4 ",
            "VENDRAIL_SHOP_PAUSE_S": "0.25",
            "VENDRAIL_SHOP_IS_OPEN": "false",
            "VENDRAIL_SHOP_MOOD": "brisk",
            "VENDRAIL_SHOP_TAGS": "a, b,",
            "VENDRAIL_SHOP_FOLDER": "/srv/x",
        },
    )

    assert (4, 0.25, False, Mood.BRISK) == (
        settings.size_max,
        settings.pause_s,
        settings.is_open,
        settings.mood,
    )
    assert (("a", "b"), Path("/srv/x")) == (settings.tags, settings.folder)


@pytest.mark.parametrize(
    "variable, value, told",
    [
        ("SIZE_MAX", "many", "a whole number, 1 or more, at most 9 (How many.)"),
        ("SIZE_MAX", "10", "at most 9"),
        ("PAUSE_S", "soon", "a number"),
        ("IS_OPEN", "perhaps", "true or false"),
        ("MOOD", "angry", "one of calm, brisk"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(variable, value, told):
    """The message names the variable, what it takes and what it is for."""
    with pytest.raises(Malformed) as caught:
        load(ShopSettings, "shop", {f"VENDRAIL_SHOP_{variable}": value})

    assert f"VENDRAIL_SHOP_{variable}" in caught.value.message
    assert told in caught.value.message


def test_an_unknown_setting_in_the_file_is_refused():
    """A misspelt name in the file is told, with the names there are."""
    with pytest.raises(Malformed, match=r"'nmae'.*size_max"):
        load(ShopSettings, "shop", {}, {"nmae": "x"})


def test_secrets_are_not_shown():
    """The table of settings masks secrets and passwords in addresses, not times."""
    settings = ShopSettings(api_secret="hunter2", public_url="http://x")
    shown = {field.name: field.value for field in describe(settings, "shop", {}, {})}
    url = "postgresql://u:hunter2@host/db"
    platform = describe(PlatformSettings(database_url=url), "", {}, {})
    texts = [shown, {field.name: field.value for field in platform}]

    assert "hunter2" not in str(texts)
    assert "postgresql://u:•••@host/db" in texts[1].values()
    assert "600.0" == shown["data_key_s"]


def test_the_table_tells_where_a_value_is_from():
    """Each row has name, variable, kind, default, help, value and source."""
    settings = load(ShopSettings, "shop", {"VENDRAIL_SHOP_NAME": "env"}, {"size_max": 5})
    rows = {
        row.name: row
        for row in describe(settings, "shop", {"VENDRAIL_SHOP_NAME": "env"}, {"size_max": 5})
    }

    assert ("environment", "env", "shop") == (
        rows["name"].source,
        rows["name"].value,
        rows["name"].default,
    )
    assert ("file", "default") == (rows["size_max"].source, rows["pause_s"].source)
    assert "VENDRAIL_SHOP_PAUSE_S" == rows["pause_s"].variable
    assert "How long." == rows["pause_s"].help


def test_every_platform_setting_has_a_help():
    """No setting of the platform is without its sentence."""
    assert [] == [field.name for field in fields(PlatformSettings, "") if not field.help]


def test_the_platform_reads_its_file(tmp_path):
    """vendrail.toml in the home gives the platform's values at the top and a table per room."""
    (tmp_path / "vendrail.toml").write_text(
        'port = 9000\npublic_url = "https://shop.example/"\n[shop]\nsize_max = 2\n'
    )
    environment = {"VENDRAIL_HOME": str(tmp_path), "VENDRAIL_HOST": "0.0.0.0"}
    platform = load_platform(environment)
    room = load_room(ShopSettings, "shop", platform, environment)

    assert (9000, "0.0.0.0", tmp_path) == (platform.port, platform.host, platform.home)
    assert "https://shop.example" == platform.public_url == room.public_url
    assert (2, 7) == (room.size_max, room.body_bytes_max)


@pytest.mark.parametrize(
    "environment",
    [
        {"VENDRAIL_TRUSTED_PROXIES": "10.0.0.0/8,everyone"},
        {"VENDRAIL_PUBLIC_URL": "shop.example"},
        {"VENDRAIL_LOG_LEVEL": "loud"},
        {"VENDRAIL_PORT": "70000"},
    ],
)
def test_senseless_platform_settings_are_refused(environment):
    """What cannot work is refused at start, naming the variable."""
    with pytest.raises(Malformed, match=next(iter(environment))):
        load_platform(environment, {})


def test_a_broken_file_is_told(tmp_path):
    """A file that is no TOML is named with the place where it fails."""
    (tmp_path / "vendrail.toml").write_text("port = = 1")

    with pytest.raises(Malformed, match=r"vendrail\.toml cannot be read"):
        read_file(tmp_path)
    assert {} == read_file(tmp_path / "nowhere")
