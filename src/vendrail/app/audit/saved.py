"""Checks of saved ways to pay: each is one living buyer's, and pays for that buyer alone."""

from vendrail.app.audit.check import Check

CHECKS = (
    Check(
        "saved_ways_are_their_buyers",
        "A saved way belongs to a buyer who is there, paid for their orders alone, and for none"
        " after it was removed.",
        "select count(*) from payments.attempt",
        """
        select s.id::text from payments.saved s
         where s.forgotten_at is null
           and not exists (select 1 from buyers.buyer b where b.id = s.buyer)
        union
        -- A way that its provider has forgotten has no row any more: nothing is known of it.
        select p.attempt::text from payments.saved_payment p
          join payments.saved s on s.id = p.saved
          left join payments.attempt a on a.id = p.attempt
          left join orders."order" o on o.id = a.order_id
         where a.channel is distinct from s.channel
            or p.at > s.forgotten_at
            -- With an account its orders are cut loose; its ways are forgotten before.
            or o.buyer is distinct from s.buyer and (o.buyer is not null or s.forgotten_at is null)
        """,
    ),
)
