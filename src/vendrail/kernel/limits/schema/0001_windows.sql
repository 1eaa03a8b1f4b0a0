-- What was taken of each limit in its window, so that a limit holds across processes.
create unlogged table limits.taken (
    ends_at    timestamptz not null,  -- First in the key: what is over is deleted in one range.
    limit_hash bytea       not null,  -- Keyed hash of limit and key: no address is kept.
    blocks     int         not null,
    primary key (ends_at, limit_hash)
) with (fillfactor = 80);
