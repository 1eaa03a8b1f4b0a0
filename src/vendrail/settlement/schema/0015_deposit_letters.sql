-- Of which deposits merchants were told by letter; what is older than this needs none.
set local lock_timeout = '5s';

alter table settlement.deposit_terms add column told_at timestamptz default now();
alter table settlement.deposit_terms alter column told_at drop default;
alter table settlement.deposit_move add column told_at timestamptz default now();
alter table settlement.deposit_move alter column told_at drop default;
create index deposit_terms_untold on settlement.deposit_terms (version) where told_at is null;
create index deposit_move_untold on settlement.deposit_move (id)
    where told_at is null and state = 'done' and kind <> 'paid';
