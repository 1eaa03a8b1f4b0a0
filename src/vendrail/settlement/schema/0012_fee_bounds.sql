-- How fees are suggested to operators, by currency.

create table settlement.fee_bounds (
    currency             text primary key,
    least_basis_points   int not null check (least_basis_points >= 0),
    most_basis_points    int not null check (most_basis_points <= 10000),
    margin_basis_points  int not null check (margin_basis_points >= 0),
    volume_minor_from    bigint not null check (volume_minor_from >= 0),
    volume_basis_points  int not null check (volume_basis_points >= 0),
    refund_basis_points  int not null check (refund_basis_points >= 0),
    dispute_basis_points int not null check (dispute_basis_points >= 0),
    check (least_basis_points <= most_basis_points)
);
