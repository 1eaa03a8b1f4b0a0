-- Which ways to pay merchants do not take: their own choice, not a rule of the platform.

create table payments.method_choice (
    merchant    uuid primary key,
    methods_off text[] not null,  -- Empty: taken back; the row stays, so that others notice.
    changed_at  timestamptz not null default clock_timestamp()
);
create index method_choice_change on payments.method_choice (changed_at);
