-- Merchants list what their sites have not heard: few among all that was told.

create index notice_unheard on epay.notice (pid, number) where state <> 'taken';
