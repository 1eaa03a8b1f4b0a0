-- Which letters to staff a merchant does not want.
create table notify.muted (
    merchant uuid not null,
    template text not null,
    primary key (merchant, template)
);
