-- A return that moves counts as under way until it has ended: the next one would not see it yet.
set local lock_timeout = '5s';

drop index settlement.deposit_move_waiting;
create unique index deposit_move_waiting on settlement.deposit_move (merchant, currency)
    where kind = 'returned' and state in ('asked', 'moving');
