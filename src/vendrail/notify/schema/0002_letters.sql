-- Letters about what happened: written from what is so when they leave, hence nothing sealed.
alter table notify.message
    add column number  bigint generated always as identity,  -- In the order they were taken in.
    add column stream  uuid,                    -- Letters of one stream leave in that order.
    add column rank    smallint not null default 0,  -- What a person waits for leaves before news.
    add column subject uuid,                    -- What the news is about, an order for example.
    add column facts   bytea,                   -- Of news: what its event told, as JSON.
    add column lease   uuid;                    -- The sender that holds it; fences its writes.
alter table notify.message
    drop constraint message_state_check,
    drop constraint message_check,
    add constraint message_state_check check (state in
        ('waiting', 'sending', 'sent', 'stale', 'overtaken', 'failed', 'unknown')),
    add constraint message_content_check check (
        case when state in ('waiting', 'sending')
             then (sealed is null) <> (facts is null)
             else sealed is null and (facts is null or state in ('failed', 'unknown')) end);
drop index notify.message_due;
create index message_due on notify.message (rank, due_at) where state in ('waiting', 'sending');
create index message_stream on notify.message (stream, number)
    where state in ('waiting', 'sending') and stream is not null;
create index message_subject on notify.message (subject, number) where subject is not null;
create index message_number on notify.message (number);

create table notify.cursor (
    source text primary key,
    xid    xid8 not null default '0',
    id     bigint not null default 0
);
insert into notify.cursor (source) values ('orders');
