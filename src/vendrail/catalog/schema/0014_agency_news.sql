-- What a supplier or an agent is to be told of the other by letter; a row goes when that was done.
set local lock_timeout = '5s';

create table catalog.agency_news (
    id       uuid primary key,
    merchant uuid not null,  -- Who is told: one of the two.
    supplier uuid not null,
    agent    uuid not null,
    step     text not null check (step in
        ('invited', 'accepted', 'declined', 'ended', 'floor_raised', 'not_supplied')),
    subject  uuid not null,  -- The listing's variant; of what becomes of an agency the supplier.
    unique (merchant, supplier, agent, step, subject)
);
