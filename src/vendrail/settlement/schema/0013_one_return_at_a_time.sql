-- A return that moves counts as under way until it has ended: the next one would not see it yet.
set local lock_timeout = '5s';

-- One that waits beside one that broke off on its way: nothing of it is posted, so it is refused.
update settlement.deposit_move a set state = 'refused', ended_at = now()
 where a.kind = 'returned' and a.state = 'asked'
   and exists (select from settlement.deposit_move m where m.merchant = a.merchant
               and m.currency = a.currency and m.kind = 'returned' and m.state = 'moving');

drop index settlement.deposit_move_waiting;
create unique index deposit_move_waiting on settlement.deposit_move (merchant, currency)
    where kind = 'returned' and state in ('asked', 'moving');
