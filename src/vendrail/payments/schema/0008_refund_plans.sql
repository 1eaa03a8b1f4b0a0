-- From where a refund was planned, and what: another treasury must not pay it again, and what is
-- asked for stays what it was when rates move. Plans from before do not know.
alter table payments.refund_nonce
    add column source text,
    add column asset  text,
    add column units  numeric(78);
