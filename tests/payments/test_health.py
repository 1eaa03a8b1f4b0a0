"""Channel accounts as an operator keeps them: checked, bounded, switched, probed, watched."""

import pytest
from tests.payments.conftest import channel_of, epay_channel, make_key, open_shop

from vendrail.api.payments import ChannelId, ProbeStatus, fitting
from vendrail.kernel.codec import replace
from vendrail.kernel.db import connect_once
from vendrail.kernel.ids import new_id
from vendrail.kernel.locales import TAGS
from vendrail.payments.channels.base import registry
from vendrail.payments.health import quantile_ms

AWAY = "http://127.0.0.1:1"


async def test_a_check_names_the_field_and_writes_nothing(payments, key_app, alipay):
    """What would be refused is told with its field, in no case with what a secret holds."""
    channel = channel_of(key_app, alipay.url)

    def changed(**settings: str):
        return replace(channel, settings=channel.settings | settings)

    found = await payments.check_channels(
        [
            channel,
            replace(channel, kind="beads"),
            changed(app_private_key=""),
            changed(app_private_key="secretly wrong"),
            replace(channel, amount_minor_min=200, amount_minor_max=100),
            replace(channel, amount_minor_min=-1),
            replace(channel, name="A Name"),
        ]
    )
    assert [
        ("created", ""),
        ("kind_unknown", "kind"),
        ("setting_missing", "app_private_key"),
        ("setting_malformed", "app_private_key"),
        ("setting_malformed", "amount_minor_max"),
        ("setting_malformed", "amount_minor_min"),
        ("setting_malformed", "name"),
    ] == [(each.status, each.field) for each in found]
    assert not any("secretly" in each.problem for each in found)
    assert [] == await payments.list_channels()


async def test_a_check_keeps_the_secret_that_is_there(shop, alipay):
    """Of an account that is there an empty secret is no gap: it stays what it was."""
    (listed,) = await shop.payments.list_channels()
    empty = replace(listed, settings=listed.settings | {"app_private_key": ""})
    (same, new) = await shop.payments.check_channels([empty, replace(empty, title="A")])

    assert ["unchanged", "changed"] == [same.status, new.status]


async def test_every_setting_of_every_kind_can_be_asked_for(payments):
    """A form needs a label and help in each language; no secret has a default."""
    kinds = await payments.list_kinds()

    assert sorted(registry()) == [each.kind for each in kinds]
    for each in [setting for kind in kinds for setting in kind.settings]:
        assert each.label, each.name
        assert each.help, each.name
        assert set(TAGS) - {"en"} == set(each.said), each.name
        for label, hint in each.said.values():
            assert label, each.name
            assert hint, each.name
        assert not (each.is_secret and each.default), each.name


async def test_secrets_do_not_lie_open_in_the_database(shop, database_url, key_app):
    """What a settings table calls secret is sealed, whichever column one looks at."""
    owner = await connect_once(database_url)
    (row,) = await owner.fetch("select settings::text, sealed from payments.channel")
    await owner.close()

    secret = key_app[1].splitlines()[1]
    assert secret not in row["settings"]
    assert secret.encode() not in row["sealed"]


async def test_bounds_of_an_account_are_kept(shop, alipay):
    """Within its bounds an account takes a payment; for others the next one that takes it does."""
    (first,) = await shop.payments.list_channels()
    wide = channel_of(alipay.register(), alipay.url, "wide", title="B")
    bounded = replace(first, amount_minor_min=100, amount_minor_max=5_000)
    assert ["changed"] == await shop.payments.put_channels([bounded])
    few, least, most, many = [shop.attempt(amount) for amount in (99, 100, 5_000, 5_001)]

    assert ["amount_not_offered", "opened", "opened", "amount_not_offered"] == (
        await shop.payments.open_attempts([few, least, most, many])
    )
    methods = await shop.payments.list_methods("CNY")
    assert [[], ["alipay", "alipay_qr"]] == [
        [each.method for each in fitting(methods, amount, amount)] for amount in (99, 100)
    ]
    assert ["created"] == await shop.payments.put_channels([wide])
    assert ["opened"] == await shop.payments.open_attempts([few])
    methods = await shop.payments.list_methods("CNY")
    assert [["B", "B"], ["支付宝", "支付宝"]] == [
        [each.title for each in fitting(methods, amount, amount)] for amount in (99, 100)
    ]
    ((view,),) = await shop.payments.read_attempts([few.order])
    assert wide.id == view.attempt.channel


async def test_a_switch_holds_in_every_process_at_once(make_service, key_app, alipay, clock):
    """Turned off in one process, an account is offered in no other from that moment on."""
    here, there = await make_service(), await make_service()
    shop = await open_shop(here, key_app, alipay, clock)
    assert ["opened"] == await there.open_attempts([shop.attempt()])
    for is_active, status in ((False, "method_not_offered"), (True, "opened")):
        changed = replace(shop.channel, is_active=is_active)
        assert ["changed"] == await here.put_channels([changed])
        assert is_active == bool(await there.list_methods("CNY"))
        assert [status] == await there.open_attempts([shop.attempt()])


async def probe(payments, *channels) -> list[ProbeStatus]:
    """Write accounts and ask their providers."""
    assert ["created"] * len(channels) == await payments.put_channels(channels)
    found = await payments.probe_channels([each.id for each in channels])
    for each, channel in zip(found, channels, strict=True):
        key = channel.settings.get("key") or channel.settings["app_private_key"]
        assert key not in each.said
    return [each.status for each in found]


async def test_a_probe_says_what_is_wrong_with_alipay(payments, key_app, alipay):
    """Right, a foreign key of ours, a foreign key of theirs, a wrong number, nobody there."""

    def account(name: str, **settings: str):
        channel = channel_of(key_app, alipay.url, name)
        return replace(channel, settings=channel.settings | settings)

    found = await probe(
        payments,
        account("right"),
        account("ours", app_private_key=make_key()[0]),
        account("theirs", alipay_public_key=make_key()[1]),
        account("nobody", app_id="2021999999999999"),
        account("away", gateway_url=f"{AWAY}/gateway.do"),
    )
    assert [
        "works",
        "signature_refused",
        "reply_unproven",
        "credentials_refused",
        "network_failed",
    ] == found


async def test_a_probe_says_what_is_wrong_with_epay(payments, epay):
    """Right, a wrong key, a merchant that is not there, another site, nobody there."""
    merchant = epay.register()

    def account(name: str, **settings: str):
        return epay_channel(merchant, epay.url, name, settings=settings)

    found = await probe(
        payments,
        account("right"),
        account("key", key="0123456789abcdef"),
        account("nobody", pid="999999"),
        account("elsewhere", url=f"{epay.url}/nothing/"),
        account("away", url=f"{AWAY}/epay/"),
    )
    assert [
        "works",
        "credentials_refused",
        "credentials_refused",
        "unclear",
        "network_failed",
    ] == found


async def test_a_probe_of_nothing_says_so(payments, clock):
    """An account that is not there cannot be asked."""
    (found,) = await payments.probe_channels([ChannelId(new_id(clock.now()))])

    assert "channel_not_found" == found.status


async def test_health_adds_up_what_all_processes_saw(make_service, key_app, alipay, clock):
    """Calls of two processes are one number, and old ones leave the window."""
    here, there = await make_service(), await make_service()
    shop = await open_shop(here, key_app, alipay, clock)
    attempt = await shop.shown()
    await here.query_attempts([attempt.id])
    await there.query_attempts([attempt.id])
    await there.note_health()
    (seen,) = await here.read_health([shop.channel.id])
    clock.advance(1_000)
    (later,) = await here.read_health([shop.channel.id])

    assert ["alipay", "alipay_qr"] == seen.methods
    assert (2, 0, None) == (seen.calls_count, seen.failures_count, seen.away_since)
    assert 0 < seen.latency_ms_p50 <= seen.latency_ms_p99
    assert (0, 0, 0) == (later.calls_count, later.latency_ms_p50, later.latency_ms_p99)


async def test_a_provider_that_is_left_alone_shows_until_it_answers(
    make_service, key_app, alipay, clock
):
    """The first process that leaves it alone begins it, an answer to any process ends it."""
    here, there = await make_service(breaker_failures=2), await make_service()
    shop = await open_shop(here, key_app, alipay, clock)
    attempt = await shop.shown()
    right = (await here.list_channels())[0]
    away = replace(right, settings=right.settings | {"gateway_url": f"{AWAY}/"})
    assert ["changed"] == await here.put_channels([away])
    for _ in range(2):
        await here.query_attempts([attempt.id])
    await here.note_health()
    (gone,) = await there.read_health([shop.channel.id])
    await here.put_channels([right])
    await there.query_attempts([attempt.id])
    (back,) = await there.read_health([shop.channel.id])

    assert (2, 2) == (gone.calls_count, gone.failures_count)
    assert [True, False] == [gone.is_away, back.is_away]
    assert gone.away_since == back.away_since
    assert None is not back.back_at > back.away_since


@pytest.mark.parametrize(
    "counts, expected",
    [([0] * 11, (0, 0)), ([1] + [0] * 10, (25, 25)), ([50, 49, 1] + [0] * 8, (25, 50)),
     ([0] * 10 + [1], (12_800, 12_800))],
)  # fmt: skip
def test_quantiles_are_the_bounds_that_hold_them(counts, expected):
    """Half, and all but a hundredth, came at most so late."""
    assert expected == (quantile_ms(counts, 0.50), quantile_ms(counts, 0.99))
