-- An agent sells what another merchant supplies: the split has three parts, refunds and freezes two.
set local lock_timeout = '5s';

create table settlement.supply (
    "order"      uuid primary key,
    id           uuid not null unique,  -- What the supplier's part is booked under.
    agent        uuid not null,
    supplier     uuid not null,
    amount_minor bigint not null check (amount_minor > 0),
    currency     text not null,
    price_minor  bigint not null check (price_minor >= amount_minor)  -- Of the whole order.
);

-- A refund of a supplied sale has a second row: what of it the supplier bears.
alter table settlement.refund
    add column supplied_minor bigint not null default 0,
    add column part_of uuid,
    add constraint refund_supplied check (
        supplied_minor between 0 and amount_minor - fee_minor
        and (part_of is null or supplied_minor = 0)
    );
create index refund_part on settlement.refund (part_of) where part_of is not null;

alter table settlement.freeze
    add column supplied_minor bigint not null default 0 check (supplied_minor >= 0),
    add column part_of uuid;
alter table settlement.freeze drop constraint freeze_asked_minor_check;
alter table settlement.freeze add constraint freeze_asked check (
    asked_minor >= 0 and asked_minor + supplied_minor > 0
);
create index freeze_part on settlement.freeze (part_of) where part_of is not null;
