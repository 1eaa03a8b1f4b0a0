-- Which adjustments never began, because people agreed on other terms during their notice.
set local lock_timeout = '5s';

alter table settlement.fee_adjustment add column overtaken_at timestamptz;
