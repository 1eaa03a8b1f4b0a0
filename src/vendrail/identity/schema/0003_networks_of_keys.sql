-- A program's key may be good from a merchant's own networks alone.

alter table identity.api_key add column networks text[] not null default '{}';
