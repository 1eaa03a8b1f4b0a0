-- Some providers sign in headers: without them what was kept of a callback proves nothing.

alter table payments.inbox add column headers bytea;  -- Those of the signature, a line each.
