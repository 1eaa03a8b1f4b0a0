-- Tests and tellings again have a bound, and what happened is found by kind and from a moment on.
set local lock_timeout = '5s';

alter table webhooks.endpoint add column free_at timestamptz;  -- Until then its turns are used up.
create index event_of_kind on webhooks.event (merchant, kind, number);
create index event_since on webhooks.event (merchant, kept_at, number);
