-- Which currencies a channel takes: others are no part of what a currency costs on average.
set local lock_timeout = '5s';

alter table settlement.channel_cost add column currencies text not null default '';  -- "CNY,USD".
