"""Checks of who merchants are: nobody unknown is paid, and nothing personal is kept too long."""

from vendrail.app.audit.check import Check

CHECKS = (
    Check(
        "known_merchants_are_paid",
        "While merchants are asked who they are, payouts are those of a tier that counted.",
        'select count(*) from orders."order"',
        """
        select distinct p.id::text from payouts.payout p
          -- Asked for, and each time that its provider was told of it.
          cross join lateral (
              select p.asked_at as moment
              union all
              select s.at from payouts.step s where s.payout = p.id and s.state = 'sent') m
          cross join lateral (
              select t.is_asked from compliance.terms t
               where t.made_at < m.moment - interval '1 minute'
               order by t.version desc limit 1) terms
         where terms.is_asked and p.origin <> 'test' and p.state not in ('refused', 'declined')
           -- Terms that were written in that minute may have been the ones that were asked.
           and not exists (
              select 1 from compliance.terms t
               where t.made_at between m.moment - interval '1 minute'
                 and m.moment + interval '1 minute')
           and not exists (
              select 1 from compliance.dossier d
               where d.merchant = p.merchant
                 and d.accepted_at <= m.moment + interval '1 minute'
                 and (d.ended_at is null or d.ended_at >= m.moment - interval '1 minute')
                 and d.expires_on >= (m.moment at time zone 'UTC')::date)
        """,
    ),
    Check(
        "dossiers_are_erased",
        "What a dossier held goes whole when its time is over; what counts was checked.",
        'select count(*) from orders."order"',
        """
        select id::text from compliance.dossier
         where erase_at < now() - interval '2 days'
            or state = 'accepted' and (checks = '{}' or decided_by = '' or sealed is null)
        union
        select d.id::text from compliance.dossier d
          join compliance.document c on c.dossier = d.id where d.sealed is null
        """,
    ),
)
