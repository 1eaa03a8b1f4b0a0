-- Payouts that did not arrive are told of by letter.
set local lock_timeout = '5s';

alter table payouts.payout add column untold_since timestamptz;  -- Until they are told of.
create index payout_untold on payouts.payout (untold_since, id) where untold_since is not null;
