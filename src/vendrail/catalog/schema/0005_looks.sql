-- A shop's look: the accent is its theme; beside it, light or dark, and a picture of its own.

alter table catalog.shop
    add column scheme text not null default 'auto' check (scheme in ('auto', 'light', 'dark')),
    add column logo   text not null default '';  -- A path below the media folder.
