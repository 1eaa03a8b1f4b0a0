"""Checks of what merchants' programs were told: each their own, and each told or explained."""

from vendrail.app.audit.check import Check

CHECKS = (
    Check(
        "programs_are_told",
        "Every endpoint has each event that it asked for, no event of another merchant's, and what"
        " was not heard says why.",
        "select count(*) from webhooks.cursor",
        """
        select d.id::text
          from webhooks.delivery d
          join webhooks.event v on v.id = d.event
          join webhooks.endpoint e on e.id = d.endpoint
         where e.merchant <> v.merchant
            or d.state in ('dropped', 'given_up') and d.problem = ''
            or d.state = 'heard' and not exists (
                select from webhooks.try t
                 where t.delivery = d.id and t.status_code between 200 and 299)
        union all
        -- Other kinds may have been asked for while an event was being read.
        select v.id::text
          from webhooks.event v
          join webhooks.endpoint e on e.merchant = v.merchant
           and v.kept_at > e.asked_at + interval '1 minute'
           and v.kind <> 'webhook.test'
           and (cardinality(e.kinds) = 0 or v.kind = any(e.kinds))
         where not exists (
             select from webhooks.delivery d where d.endpoint = e.id and d.event = v.id)
        """,
    ),
)
