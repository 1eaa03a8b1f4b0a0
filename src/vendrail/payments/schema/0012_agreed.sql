-- Who has agreed that the provider remembers how they pay, kept with the attempt they agreed to.

alter table payments.attempt add column buyer uuid;
create index attempt_buyer on payments.attempt (buyer) where buyer is not null;

drop view payments.standing;
create view payments.standing as
select
    a.*, p.at as presented_at, p.action, p.reference, x.is_final,
    k.is_captured, k.is_spent, k.is_waiting, x.problem as failure, p.is_unseen
from payments.attempt a
left join payments.presentation p on p.attempt_id = a.id
left join payments.closure x on x.attempt_id = a.id
cross join lateral (
    select
        bool_or(c.fit = 'fits' and (f.state is null or f.state = 'confirmed')) as is_captured,
        bool_or(c.fit <> 'fits' and (f.state is null or f.state = 'confirmed')) as is_spent,
        bool_or(f.state = 'waiting') as is_waiting
    from payments.capture c
    left join payments.confirmation f on f.capture_id = c.id
    where c.id between payments.first_kin(a.id) and payments.last_kin(a.id) and c.attempt_id = a.id
) k;
