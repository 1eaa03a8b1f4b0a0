"""Checks of who may sell: nothing was sold by whom an operator had stopped."""

from vendrail.app.audit.check import Check

CHECKS = (
    Check(
        "suspended_merchants_sell_nothing",
        "No order was placed with a merchant while its sales are stopped.",
        'select count(*) from orders."order"',
        """
        -- What was under way in that moment is let be: it is cancelled, or was paid before.
        select o.id::text from catalog.suspension s
          join orders."order" o on o.merchant = s.merchant
         where o.placed_at > s.since + interval '1 minute'
        """,
    ),
)
