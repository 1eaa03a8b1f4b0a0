-- What a person said that money is worth whose rate the account does not know, and where it would
-- go back to. Money that counts by its own rate has none of it.
alter table payments.sighting
    add column priced_minor bigint check (priced_minor > 0),
    add column priced_by    text,
    add column priced_for   text,  -- The reason.
    add column priced_at    timestamptz,
    add column refund_to    text;  -- Null: to who sent it.
