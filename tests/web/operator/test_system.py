"""The system's page in the operator's console: what the metrics say, for people."""

import platform
import re
from datetime import timedelta

import pytest

from vendrail import __version__
from vendrail.api.identity import Role
from vendrail.api.notify import CheckReport
from vendrail.kernel.db import connect_once
from vendrail.web.operator.system import span


async def test_the_page_says_how_the_system_is(world, place):
    """Versions, database, pools, sagas, queues and latencies stand there, as they are now."""
    world.house.metrics.put("vendrail_info", 1, __version__)
    head = await world.join("su@rail.example", Role.OPERATOR_SUPPORT)
    metrics = world.house.metrics
    metrics.observe_batch("web.place_orders", 3)
    metrics.put("vendrail_event_lag_seconds", 75.0, "somebody.else")
    for _ in range(99):
        metrics.observe("vendrail_http_request_seconds", 0.02, "GET", "/somewhere", "2xx")
    await head.go("/operator/system")
    owner = await connect_once(place.url)
    version = await owner.fetchval("select current_setting('server_version')")
    await owner.close()

    assert 200 == head.page.status_code
    assert f"{__version__} Python {platform.python_version()}" in head.text
    assert version in head.text
    assert re.search(r"Purchase (Stuck|Waiting|Under way) \d", head.text)
    assert "somebody.else 1.25 min" in head.text
    assert "GET /somewhere 99 17.5 ms 24.9 ms" in head.text
    assert "web.place_orders 0 1 3.0" in head.text
    assert "identity" in head.text.split("Connections to the database")[1]
    assert 'hx-trigger="every 10s"' in head.page.text


async def test_audit_and_backup_are_told_when_they_are_known(world):
    """Before the first it says how to make one; then when, and what was found."""
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    await head.go("/operator/system")
    before = head.text
    notify, now = world.house.services["notify"], world.clock.now()
    reports = [
        CheckReport("audit", now - timedelta(hours=2), is_good=False, findings={"balanced": 2}),
        CheckReport("backup", now, is_good=True),
    ]
    assert ["recorded"] * 2 == await notify.report_checks(reports)
    await head.go("/operator/system")

    assert ("vendrail audit" in before, "vendrail backup" in before) == (True, True)
    assert "Something was found balanced: 2" in head.text
    assert "vendrail backup" not in head.text


async def test_who_may_see_it(world):
    """Support and administrators see the system; finance and risk do not."""
    for role, status in (
        (Role.OPERATOR_SUPPORT, 200),
        (Role.OPERATOR_ADMIN, 200),
        (Role.OPERATOR_FINANCE, 403),
        (Role.OPERATOR_RISK, 403),
    ):
        browser = await world.join(f"{role.value}@rail.example", role)
        assert status == (await browser.go("/operator/system")).status_code


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "0 ms"), (0.0123, "12.3 ms"), (1.5, "1.5 s"), (90, "1.5 min"), (5400, "1.5 h"),
     (259_200, "3 d")],
)  # fmt: skip
def test_lengths_of_time_are_short(seconds, text):
    """Three digits and the unit that fits."""
    assert text == span(seconds)
