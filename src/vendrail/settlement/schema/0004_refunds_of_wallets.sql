-- Money goes back into a buyer's wallet instead of over a channel, or out of the wallet it had topped up.

alter table settlement.refund
    add column to_wallet uuid,
    add column from_wallet uuid,
    add constraint refund_wallets check (to_wallet is null or from_wallet is null);
