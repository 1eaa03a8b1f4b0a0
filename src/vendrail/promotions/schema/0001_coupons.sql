-- Coupons: what is taken off, the codes that stand for it, and each order that has taken one.

create table promotions.coupon (
    id              uuid primary key,
    merchant        uuid not null,
    title           text not null,
    currency        text not null,
    amount_minor    bigint not null check (amount_minor >= 0),
    permyriad       int not null check (permyriad between 0 and 10000),
    cap_minor       bigint not null check (cap_minor >= 0),
    order_minor_min bigint not null check (order_minor_min >= 0),
    uses_max        int check (uses_max > 0),
    uses_per_code   int not null check (uses_per_code > 0),
    uses_per_buyer  int check (uses_per_buyer > 0),
    starts_at       timestamptz,
    ends_at         timestamptz,
    products        uuid[] not null,
    categories      text[] not null,
    is_on           boolean not null,
    word            text not null,
    codes_count     int not null default 0,
    held_count      int not null default 0 check (held_count >= 0),
    used_count      int not null default 0 check (used_count >= 0),
    used_minor      bigint not null default 0 check (used_minor >= 0),
    check ((amount_minor > 0) <> (permyriad > 0)),
    check (held_count + used_count <= uses_max)  -- Pairs with decide.hold: two guards.
);
create index coupon_merchant on promotions.coupon (merchant, id);

create table promotions.code (
    hash        bytea primary key,  -- Keyed, of merchant and code: found, never read.
    coupon      uuid not null references promotions.coupon,
    number      int not null,       -- 0: the merchant's own word.
    taken_count int not null default 0 check (taken_count >= 0),
    unique (coupon, number)
);

create table promotions.use (
    "order"        uuid primary key,
    coupon         uuid not null,
    code           bytea not null,
    contact        text not null,  -- Keyed hash of the buyer's contact …
    buyer          uuid,           -- … and who was signed in.
    discount_minor bigint not null check (discount_minor > 0),
    currency       text not null,
    state          text not null check (state in ('held', 'used', 'returned')),
    held_at        timestamptz not null,
    look_at        timestamptz,    -- When to ask again what became of the order; null: no more.
    ending_at      timestamptz     -- Since when it was seen to have ended unpaid.
);
create index use_coupon on promotions.use (coupon, "order");
create index use_contact on promotions.use (coupon, contact) where state <> 'returned';
create index use_buyer on promotions.use (coupon, buyer)
    where buyer is not null and state <> 'returned';
create index use_look on promotions.use (look_at) where look_at is not null;

-- Codes that were not there, by who asked: after some of them nothing is answered for a while.
create table promotions.guess (
    address text primary key,
    since   timestamptz not null,
    count   int not null
);
