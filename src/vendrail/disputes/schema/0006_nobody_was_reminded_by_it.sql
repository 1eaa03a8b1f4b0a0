-- Reminders are told by letters of their own: this column was never written.
set local lock_timeout = '5s';

alter table disputes.dispute drop column reminded_at;
