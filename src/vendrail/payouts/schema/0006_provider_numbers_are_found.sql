-- A payout is found by the provider's number of it.
set local lock_timeout = '5s';

create index payout_provider_number on payouts.payout (provider_number)
    where provider_number <> '';
