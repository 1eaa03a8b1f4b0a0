"""Domains for pages: one in each state, as looks at their records would have left them."""

from datetime import timedelta

from vendrail.api.domains import Domains, NewDomain
from vendrail.kernel.db import connect_once


async def add_domains(house, merchant, shop) -> None:
    """Write four domains of a shop: waiting, served, missed and lost."""
    now = house.clock.now()
    hosts = (
        "shop.example.com",
        f"{'a-rather-long-name-' * 3}x.例え.example",
        "b.example",
        "c.example",
    )
    added = await house.api(Domains).add_domains(
        [NewDomain(merchant, shop, each) for each in hosts]
    )
    _, served, missed, lost = (each.domain.id for each in added)
    owner = await connect_once(house.platform.database_url)
    found = "update domains.domain set checked_at = $2, proven_at = $2, finding = $3, state = $4"
    await owner.execute(f"{found} where id = $1", served, now, "proven", "active")
    await owner.execute(f"{found} where id = $1", missed, now, "no_record", "active")
    since = "update domains.domain set failing_since = $2 where id = $1"
    await owner.execute(since, missed, now - timedelta(days=1))
    await owner.execute(f"{found} where id = $1", lost, now, "other_record", "lost")
    await owner.close()
