-- A fee may be told after the money was moved: it is booked then.
set local lock_timeout = '5s';

alter table disputes.dispute add column is_fee_due boolean not null default false;

drop index disputes.dispute_due;
create index dispute_due on disputes.dispute (due_at)
    where step = 'told' or (step = 'frozen' and outcome <> 'open') or is_fee_due;
