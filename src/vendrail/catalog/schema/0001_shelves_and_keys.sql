-- What is for sale, and the keys: written once at intake, picked once, and never free again once sold.

create table catalog.shop (
    id            uuid primary key,
    merchant      uuid not null,
    merchant_name text not null,
    slug          text not null unique,
    name          text not null,
    notice        text not null,
    contact       text not null,
    theme         text not null,
    is_open       boolean not null
);

create table catalog.product (
    id             uuid primary key,
    shop           uuid not null references catalog.shop,
    slug           text not null,
    title          text not null,
    description    text not null,
    picture        text not null,
    category       text not null,
    state          text not null,
    delivery       text not null,
    hold_policy    text not null,
    restock_wait_s int not null check (restock_wait_s >= 0),
    instructions   text not null,
    search         text not null,  -- Lower case: title, category, variants; what words are found in.
    unique (shop, slug)
);

create table catalog.variant (
    id           uuid primary key,
    product      uuid not null references catalog.product,
    sku          text not null,
    title        text not null,
    prices_minor jsonb not null,
    quantity_min int not null check (quantity_min > 0),
    quantity_max int not null check (quantity_max >= quantity_min),
    position     int not null,
    is_withdrawn boolean not null default false  -- Left out of its product; its keys stay.
);
create unique index variant_sku on catalog.variant (sku) where not is_withdrawn;
create index variant_product on catalog.variant (product);

-- Products whole, in the form in which their record travels.
create view catalog.product_document as
    select p.id, p.shop, p.slug, to_jsonb(p) || jsonb_build_object('variants', coalesce((
        select jsonb_agg(to_jsonb(v) order by v.position, v.id) from catalog.variant v
        where v.product = p.id and not v.is_withdrawn), '[]')) as document
    from catalog.product p;

-- Where a variant's units stand: free + held + allocated + sold + void = all that were taken in.
create table catalog.stock (
    variant   uuid primary key,
    free      bigint not null default 0 check (free >= 0),       -- Anyone may have these.
    held      bigint not null default 0 check (held >= 0),       -- Set aside for unpaid orders.
    allocated bigint not null default 0 check (allocated >= 0),  -- Picked, still unreadable.
    sold      bigint not null default 0 check (sold >= 0),
    void      bigint not null default 0 check (void >= 0),
    first_key uuid not null default '00000000-0000-0000-0000-000000000000'
    -- A hint: picking starts here, past the index entries of keys long sold.
) with (fillfactor = 30);  -- Rewritten in place at every batch.

create table catalog.data_key (
    id      uuid primary key,
    sealed  bytea not null,
    made_at timestamptz not null
);

-- Keys as they were taken in; a row here never changes.
create table catalog.key (
    variant     uuid not null,
    id          uuid not null,
    product     uuid not null,
    fingerprint uuid not null,  -- Half a keyed hash: 128 bits tell any two keys apart.
    batch       uuid not null,  -- The intake it came with …
    line        int not null,   -- … and its line there, so that a repeated intake is known.
    data_key    uuid not null,
    sealed      bytea not null,
    primary key (variant, id),
    unique (product, fingerprint)
);

-- The pool: one row for each key that is free or held. Picking deletes from the front.
create table catalog.free_key (
    variant uuid not null,
    key     uuid not null,
    primary key (variant, key)
) with (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 10000,
    autovacuum_analyze_scale_factor = 0.05
);

-- The kept outcome of each allocation: one row for each key picked, or one that says why not.
create table catalog.allocation (
    id       uuid not null,
    "order"  uuid,              -- Null: undone before it arrived.
    variant  uuid,
    key      uuid,              -- Null: a refusal, a tombstone, or a variant without end.
    quantity int not null,
    position smallint not null,
    state    text not null check (state in
        ('allocated', 'sold', 'void', 'sold_out', 'variant_not_found', 'freed', 'cancelled')),
    primary key (id, position)
) with (
    fillfactor = 45,  -- Room for `allocated` to become `sold` on the same page.
    autovacuum_vacuum_scale_factor = 0.05
);
-- No key leaves twice: whatever the code does, PostgreSQL refuses the second time.
create unique index allocation_key on catalog.allocation (key) where key is not null;

-- Units set aside for orders that are not paid yet; only live holds are here.
create table catalog.hold (
    "order"  uuid primary key,
    variant  uuid not null,
    quantity int not null check (quantity > 0),
    until    timestamptz not null,
    buyer    text,  -- Keyed hashes; null where no cap is set, so that their indexes stay empty.
    address  text,
    device   text
) with (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000
);
create index hold_until on catalog.hold (variant, until);
create index hold_buyer on catalog.hold (buyer) where buyer is not null;
create index hold_address on catalog.hold (address) where address is not null;
create index hold_device on catalog.hold (device) where device is not null;

-- What variants without end deliver, sealed.
create table catalog.content (
    variant  uuid primary key,
    data_key uuid not null,
    sealed   bytea not null
);
