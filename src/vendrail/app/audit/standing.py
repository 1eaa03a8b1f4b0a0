"""Checks of who may sell: nothing was sold by whom an operator had stopped."""

from vendrail.app.audit.check import Check

CHECKS = (
    Check(
        "suspended_merchants_sell_nothing",
        "No order was placed with a merchant while its sales are stopped.",
        'select count(*) from orders."order"',
        """
        -- What was under way in that moment is let be: it is cancelled, or was paid before.
        -- An agent's order is its supplier's sale, too.
        select o.id::text from catalog.suspension s
          cross join lateral (
            select id, placed_at from orders."order" where merchant = s.merchant
            union select id, placed_at from orders."order" where supplier = s.merchant) o
         where o.placed_at > s.since + interval '1 minute'
        """,
    ),
)
