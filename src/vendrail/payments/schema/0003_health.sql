-- Bounds of what an account takes, and how providers answer: a row a minute, an hour of them kept.

alter table payments.channel
    add column amount_minor_min bigint not null default 0 check (amount_minor_min >= 0),
    add column amount_minor_max bigint not null default 0 check (amount_minor_max >= 0);

create table payments.pulse (
    channel   uuid not null,
    minute    timestamptz not null,
    calls     int not null,
    failures  int not null,
    latencies int[] not null,  -- Answers by how long they took, one counter for each bound.
    primary key (channel, minute)
) with (fillfactor = 80);

-- When a provider was left alone for its failures: begun by the first process, ended by an answer.
create table payments.outage (
    channel  uuid not null,
    began_at timestamptz not null,
    ended_at timestamptz,
    primary key (channel, began_at)
);
create unique index outage_open on payments.outage (channel) where ended_at is null;
