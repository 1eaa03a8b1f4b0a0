-- An order that was paid in another currency gives that currency back; nulls: the price's own.

alter table settlement.refund
    add column paid_currency text,
    add column paid_minor bigint,
    add constraint refund_paid check (
        (paid_currency is null) = (paid_minor is null) and (paid_minor is null or paid_minor > 0)
    );
