"""Checks of money that goes out: each payout stands in the books as it says, once."""

from vendrail.app.audit.books import STANDING
from vendrail.app.audit.check import Check

# What each payout has moved for good: out of its channel's reserve, and as its fee.
_MOVED = """
    (select t.subject,
            sum(case when c.name like 'payout_reserve:%' then t.amount_minor
                     when d.name like 'payout_reserve:%' then -t.amount_minor else 0 end)
                as paid_minor,
            sum(case when c.name = 'platform:fee' then t.amount_minor
                     when d.name = 'platform:fee' then -t.amount_minor else 0 end) as fee_minor
       from ledger.transfer t
       join ledger.account d on d.number = t.debit
       join ledger.account c on c.number = t.credit
      where t.code in ('payout', 'payout_fee', 'payout_returned') and t.refusal is null
        and t.kind in ('single', 'post')
      group by t.subject)
"""

CHECKS = (
    Check(
        "payouts_are_booked",
        "Every payout has left its reserve once if it succeeded, and not at all if it did not.",
        "select count(*) from ledger.account",
        f"""
        select coalesce(p.id, m.subject)::text
          from payouts.payout p full join {_MOVED} m on m.subject = p.id
         where p.id is null
            -- Between a verdict and its end the books may be ahead of the state.
            or p.verdict = '' and (coalesce(m.paid_minor, 0)::bigint,
                                   coalesce(m.fee_minor, 0)::bigint)
               is distinct from case when p.state = 'succeeded'
                                     then (p.amount_minor, p.fee_minor)
                                     else (0::bigint, 0::bigint) end
            or p.verdict <> '' and (coalesce(m.paid_minor, 0) not in (0, p.amount_minor)
                                    or coalesce(m.fee_minor, 0) not in (0, p.fee_minor))
        """,  # noqa: S608 - a constant
    ),
    Check(
        "payouts_in_transit_fit",
        "What is held in transit and in reserves is for payouts that are under way, and no more.",
        "select count(*) from ledger.account",
        f"""
        with under_way as (
            select channel_name, currency, sum(amount_minor) as most_minor,
                   coalesce(sum(amount_minor) filter (where state <> 'requested'
                            and verdict = ''), 0) as held_minor,
                   coalesce(sum(amount_minor) filter (where state in ('reserved', 'sent')
                            and verdict = ''), 0) as reserved_minor
              from payouts.payout
             where state in ('requested', 'review', 'ready', 'reserved', 'sent')
             group by channel_name, currency),
        stands as (
            select a.id, a.name, a.currency, s.* from ledger.account a
              join {STANDING} s on s.account = a.number
             where a.name like 'payout:in_transit:%' or a.name like 'payout_reserve:%')
        select s.id::text from stands s left join under_way w
            on w.currency = s.currency and w.channel_name = split_part(s.name, ':', 3)
         where s.name like 'payout:in_transit:%'
           and (s.credits_posted <> s.debits_posted
                or s.credits_pending not between coalesce(w.held_minor, 0)
                                             and coalesce(w.most_minor, 0)
                or s.debits_pending not between coalesce(w.reserved_minor, 0)
                                            and coalesce(w.most_minor, 0))
        union all
        select s.id::text from stands s left join under_way w
            on w.currency = s.currency and w.channel_name = split_part(s.name, ':', 2)
         where s.name like 'payout_reserve:%'
           and (s.credits_pending not between coalesce(w.reserved_minor, 0)
                                          and coalesce(w.most_minor, 0)
                or s.credits_posted + s.credits_pending > s.debits_posted)
        """,  # noqa: S608 - a constant
    ),
    Check(
        "payout_marks_fit",
        "What each payout's mark says was earned and taken before it is what the books say.",
        "select count(*) from ledger.account",
        """
        with own as (
            select distinct a.number, m.merchant, m.currency from payouts.mark m
              join ledger.account a on a.currency = m.currency
                                   and a.name = 'merchant:' || m.merchant || ':available'),
        run as (
            select o.merchant, o.currency, e.transfer, sum(e.credits_posted) over w as earned,
                   sum(e.debits_posted) over w as taken
              from own o join ledger.entry e on e.account = o.number
            window w as (partition by o.number order by e.at, e.transfer
                         rows unbounded preceding))
        select m.payout::text from payouts.mark m
          left join run r on r.transfer = m.transfer and r.merchant = m.merchant
                         and r.currency = m.currency
         where r.transfer is null or r.earned <> m.credits_minor or r.taken <> m.taken_minor
        """,
    ),
    Check(
        "bank_files_fit",
        "What left for a bank lies in one file; files' sums are their payouts', ends the bank's.",
        "select count(*) from ledger.account",
        """
        select p.id::text from payouts.payout p left join payouts.bank_line l on l.payout = p.id
         where p.is_filed and p.state in ('sent', 'succeeded', 'failed', 'returned')
           and (l.payout is null
                or p.verdict = '' and l.result
                   <> case when p.state = 'sent' then '' else p.state end)
        union all
        select l.payout::text from payouts.bank_line l left join payouts.payout p on p.id = l.payout
         where p.id is null or not p.is_filed
            or p.state not in ('sent', 'succeeded', 'failed', 'returned')
        union all
        select f.id::text from payouts.bank_file f
          left join (select l.file, count(*) as lines, sum(p.amount_minor) as minor,
                            count(distinct (p.channel, p.currency)) as kinds,
                            min(p.currency) as currency, min(p.channel::text) as channel
                       from payouts.bank_line l join payouts.payout p on p.id = l.payout
                      group by l.file) s on s.file = f.id
         where (s.lines, s.minor, s.kinds, s.currency, s.channel)
               is distinct from (f.lines::bigint, f.sum_minor::numeric, 1::bigint, f.currency,
                                 f.bank::text)
        """,
    ),
    Check(
        "reserves_are_explained",
        "Every change of a reserve that no payout made was written down by who made it, and why.",
        "select count(*) from ledger.account",
        """
        select t.id::text
          from ledger.transfer t
          join ledger.account d on d.number = t.debit
          join ledger.account c on c.number = t.credit
          left join payouts.reserve_change u on u.id = t.subject
         where t.refusal is null and t.code not in ('payout', 'payout_returned')
           and (d.name like 'payout_reserve:%' or c.name like 'payout_reserve:%')
           and t.code <> 'remittance'
           and (t.code <> 'reserve' or u.id is null or u.reason = ''
                or u.amount_minor <> case when d.name like 'payout_reserve:%'
                                          then t.amount_minor else -t.amount_minor end
                or 'payout_reserve:' || u.channel_name not in (d.name, c.name))
        """,
    ),
    Check(
        "remittances_are_booked",
        "Every settlement of a provider is in the books once, with what it kept, and no other is.",
        "select count(*) from ledger.account",
        """
        with booked as (
            select t.subject, d.currency, min(c.name) as source, max(c.name) as other_source,
                   min(d.name) filter (where t.code = 'remittance') as target,
                   coalesce(sum(t.amount_minor) filter (where t.code = 'remittance'), 0) as net,
                   coalesce(sum(t.amount_minor) filter (where t.code = 'remittance_fee'
                            and d.name = 'platform:channel_cost'), 0) as fee,
                   sum(t.amount_minor) as gross
              from ledger.transfer t
              join ledger.account d on d.number = t.debit
              join ledger.account c on c.number = t.credit
             where t.code in ('remittance', 'remittance_fee') and t.refusal is null
             group by t.subject, d.currency)
        select coalesce(r.id, b.subject)::text
          from payouts.remittance r full join booked b on b.subject = r.id
         where r.id is null
            -- Between a remittance and its booking the books may be either way.
            or (b.subject is null and r.booked_at is not null)
            or (b.subject is not null and (
                b.currency <> r.currency or b.gross <> r.gross_minor or b.fee <> r.fee_minor
                or b.net <> r.gross_minor - r.fee_minor
                or b.source <> 'provider:' || r.channel_name or b.source <> b.other_source
                or b.target <> case r.target when 'bank' then 'bank'
                                    else 'payout_reserve:' || r.channel_name end))
        """,
    ),
)
