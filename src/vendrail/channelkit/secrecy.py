"""Settings that say what they want, and secrets that are told to nobody."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from vendrail.api.payments import Refund, RefundId
from vendrail.channelkit.bench import Operation, Trouble
from vendrail.channelkit.rig import Rig
from vendrail.kernel.codec import encode, replace
from vendrail.kernel.ids import new_id
from vendrail.kernel.telemetry import init_logs
from vendrail.payments.channels.base import SettingProblem, check_settings

_LENGTH_MIN = 8  # A shorter value is in every log by chance.


class Secrecy:
    """What holds of an account's settings."""

    async def test_settings_are_described(self, rig: Rig) -> None:
        """Each has a label and a help in two languages, and a default that it takes itself."""
        names = [setting.name for setting in rig.channel.settings_table]
        assert sorted(set(names)) == sorted(names)
        for setting in rig.channel.settings_table:
            label, help_text = setting.said["zh-Hans"]
            assert setting.label
            assert setting.help
            assert label
            assert help_text
            if setting.default and setting.check is not None:
                assert "" == setting.check(setting.default)

    async def test_what_is_wrong_with_a_setting_is_said_by_its_name(self, rig: Rig) -> None:
        """A missing, empty or unknown setting is refused before anything is written (X13)."""
        good = await rig.bench.settings()
        assert check_settings(rig.channel, good) is not None
        for setting in rig.channel.settings_table:
            if setting.is_required:
                with pytest.raises(SettingProblem) as caught:
                    check_settings(rig.channel, {**good, setting.name: " "})
                assert (setting.name, True) == (caught.value.name, caught.value.is_missing)
        with pytest.raises(SettingProblem) as caught:
            check_settings(rig.channel, {**good, "no_such_setting": "1"})
        assert "no_such_setting" == caught.value.name

    async def test_secrets_are_masked_and_kept(self, rig: Rig) -> None:
        """Lists show no secret, and a list written back changes nothing."""
        secrets = [s.name for s in rig.channel.settings_table if s.is_secret]
        (listed,) = await rig.service.list_channels()

        for name in secrets:
            if rig.account.settings.get(name):
                assert set("*") == set(listed.settings[name])
        assert ["unchanged"] == await rig.service.put_channels([listed])
        emptied = {**listed.settings, **dict.fromkeys(secrets, "")}
        changed = replace(listed, settings=emptied, title="other")
        assert ["changed"] == await rig.service.put_channels([changed])
        attempt, sale = await rig.sale()
        await rig.bench.pay(sale)
        assert ["captured"] == await rig.service.query_attempts([attempt.id])

    async def test_no_secret_is_told(self, rig: Rig) -> None:
        """Through a sale, a refund, trouble and garbage no log, table or page shows a secret."""
        secrets = _secrets_of(rig, await rig.bench.settings())
        told: list[object] = []
        with _logs() as logs:
            attempt, sale = await rig.sale()
            told.append(sale.action)
            for trouble in (Trouble.AWAY, Trouble.UNCLEAR):
                await rig.bench.trouble(trouble, Operation.QUERY)
                await rig.service.query_attempts([attempt.id])
            if rig.bench.has_callbacks and (good := await rig.bench.paid(sale)) is not None:
                told += await rig.hear(*rig.bench.forgeries(good), good)
            else:
                await rig.bench.pay(sale)
            await rig.service.confirm_captures()
            await rig.service.query_attempts([attempt.id])
            ((capture,),) = await rig.service.read_captures([attempt.order])
            await rig.bench.trouble(Trouble.UNCLEAR, Operation.REFUND)
            refund = Refund(RefundId(new_id(rig.clock.now())), capture.id, 100)
            await rig.service.request_refunds([refund])
            told += await rig.service.probe_channels([rig.account.id])
            told += await rig.service.list_channels()
        kept = await _everything(rig)
        seen = kept + encode(told).decode() + logs.getvalue()

        assert attempt.id.hex in kept.replace("-", "")
        assert [] == [name for name, value in secrets if value in seen]


@contextmanager
def _logs() -> Iterator[io.StringIO]:
    """Write down all that a process of the product would log at its most talkative."""
    root, config = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers, root.level
    written = io.StringIO()
    init_logs("debug", stream=written)
    try:
        yield written
    finally:
        root.handlers = handlers
        root.setLevel(level)
        structlog.configure(**config)


def _secrets_of(rig: Rig, settings: dict[str, str]) -> list[tuple[str, str]]:
    """Name each secret's lines that are long enough to be looked for."""
    return [
        (setting.name, line.strip())
        for setting in rig.channel.settings_table
        if setting.is_secret
        for line in settings.get(setting.name, "").splitlines()
        if len(line.strip()) >= _LENGTH_MIN and not line.startswith("-----")
    ]


async def _everything(rig: Rig) -> str:
    """Give all that payments have written, as text."""
    tables = await rig.owner.fetch(
        "select table_name from information_schema.tables where table_schema = 'payments'"
        " and table_type = 'BASE TABLE'"
    )
    rows = [
        await rig.owner.fetch(f'select t::text from payments."{table["table_name"]}" t')
        for table in tables
    ]
    return "\n".join(str(row[0]) for found in rows for row in found)
