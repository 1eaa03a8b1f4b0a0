-- Value neither appears nor vanishes: `debit <> credit` alone let a row pass whose one side is null.

alter table ledger.transfer add constraint transfer_has_two_sides
    check (refusal is not null or (debit is not null and credit is not null));
