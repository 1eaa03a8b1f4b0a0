-- What readers want: which letters they do without, and when they are left alone.
set local lock_timeout = '5s';

create table notify.reader (
    address     bytea primary key,  -- A keyed hash: the address itself is not kept.
    quiet_from  smallint check (quiet_from between 0 and 1439),
    quiet_until smallint check (quiet_until between 0 and 1439),
    zone        text not null,
    check ((quiet_from is null) = (quiet_until is null))
);
create table notify.wish (
    address   bytea not null,
    template  text not null,
    is_wanted boolean not null,
    at        timestamptz not null,  -- Links of letters from before it are good for nothing.
    primary key (address, template)
);

alter table notify.message
    drop constraint message_state_check,
    add constraint message_state_check check (state in
        ('waiting', 'sending', 'sent', 'stale', 'overtaken', 'unwanted', 'failed', 'unknown'));
