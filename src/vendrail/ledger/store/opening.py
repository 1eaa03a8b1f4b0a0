"""Opening accounts and reading their terms, which never change."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.ledger import Account, AccountLimit
from vendrail.kernel.db import Transaction
from vendrail.ledger.books import Terms


async def open_accounts(tx: Transaction, accounts: Sequence[Account], at: datetime) -> set[UUID]:
    """Open accounts in id order, each with its row of counters; give the ids that were new."""
    opening = sorted(accounts, key=lambda account: account.id.int)
    rows = await tx.fetch(
        """
        with opened as (
            insert into ledger.account (id, number, name, currency, limit_kind, opened_at)
            select id, nextval('ledger.account_number') * sign, name, currency, limit_kind, $6
              from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::text[])
                   as new (id, sign, name, currency, limit_kind)
            on conflict do nothing
            returning id, number, limit_kind
        ), counted as (
            insert into ledger.balance (account, are_debits_limited, are_credits_limited)
            select number, limit_kind = 'debits_within_credits',
                   limit_kind = 'credits_within_debits'
              from opened
        )
        select id from opened
        """,
        [account.id for account in opening],
        [1 if account.is_listed else -1 for account in opening],
        [account.name for account in opening],
        [account.currency for account in opening],
        [account.limit.value for account in opening],
        at,
    )
    return {row["id"] for row in rows}


async def load_accounts(tx: Transaction, ids: Collection[UUID]) -> list[Terms]:
    """Read the terms of accounts, those that exist."""
    rows = await tx.fetch(
        """
        select id, number, name, currency, limit_kind, opened_at
          from ledger.account where id = any($1::uuid[])
        """,
        list(ids),
    )
    return [
        Terms(
            id=row["id"],
            number=row["number"],
            name=row["name"],
            currency=row["currency"],
            limit=AccountLimit(row["limit_kind"]),
            are_debits_limited=row["limit_kind"] == AccountLimit.DEBITS_WITHIN_CREDITS,
            are_credits_limited=row["limit_kind"] == AccountLimit.CREDITS_WITHIN_DEBITS,
            is_limited=row["limit_kind"] != AccountLimit.NONE,
            is_listed=row["number"] > 0,
            opened_at=row["opened_at"],
        )
        for row in rows
    ]
