-- Of which refunds of agents suppliers were told by letter; what is older than this needs none.
set local lock_timeout = '5s';

alter table settlement.refund add column told_at timestamptz default now();
alter table settlement.refund alter column told_at drop default;
create index refund_untold on settlement.refund (id)
    where part_of is not null and told_at is null and state = 'paid';
