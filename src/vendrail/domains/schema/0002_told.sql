-- What a look finds by itself is told to the log too; additions are counted by the day.
alter table domains.letter add column shop uuid;  -- Null: written by the release before.

create table domains.addition (
    merchant uuid not null,
    at       timestamptz not null
);
create index addition_merchant on domains.addition (merchant, at);
