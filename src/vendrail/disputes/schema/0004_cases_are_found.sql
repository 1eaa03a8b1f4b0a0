-- A dispute is found by the provider's case number, whichever channel it came over.
set local lock_timeout = '5s';

create index dispute_case on disputes.dispute (case_number);
