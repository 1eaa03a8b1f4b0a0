-- What reserves were asked for is summed by hour, for weeks.
set local lock_timeout = '5s';

create index payout_asked on payouts.payout (asked_at);
