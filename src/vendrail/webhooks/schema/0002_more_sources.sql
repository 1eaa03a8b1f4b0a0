-- What becomes of money that goes out, of disputes and complaints is told too, and that stock is low.
set local lock_timeout = '5s';

insert into webhooks.cursor (source) values ('payouts'), ('disputes'), ('support');

-- What runs out and was told of: a row until there is enough again, so each is told once.
create table webhooks.low (
    merchant uuid not null,
    sku      text not null,
    since    timestamptz not null,
    primary key (merchant, sku)
);
