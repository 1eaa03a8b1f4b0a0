-- What stands and staff are told of: a row from when it begins until it ends, so each is told once.
create table notify.concern (
    key   text primary key,
    kind  text not null,
    place uuid,                    -- The merchant whose it is; null: the operator's.
    words text not null,           -- What it is called: a product, a saga, a capture.
    since timestamptz not null     -- When it was first seen.
);
