"""All SQL of wallets: their terms."""

from datetime import datetime

from vendrail.api.wallets import WalletTerms
from vendrail.kernel.db import Transaction


async def load_terms(tx: Transaction) -> dict[str, WalletTerms]:
    """Read the terms of all currencies; there are few."""
    rows = await tx.fetch(
        "select currency, is_on, top_up_minor_min, top_up_minor_max, balance_minor_max,"
        " step_up_minor from wallets.terms order by currency"
    )
    return {row[0]: WalletTerms(*row) for row in rows}


async def write_terms(tx: Transaction, terms: WalletTerms, now: datetime) -> None:
    """Write the terms of a currency, whole."""
    await tx.execute(
        "insert into wallets.terms (currency, is_on, top_up_minor_min, top_up_minor_max,"
        " balance_minor_max, step_up_minor, written_at) values ($1, $2, $3, $4, $5, $6, $7)"
        " on conflict (currency) do update set is_on = excluded.is_on,"
        "  top_up_minor_min = excluded.top_up_minor_min,"
        "  top_up_minor_max = excluded.top_up_minor_max,"
        "  balance_minor_max = excluded.balance_minor_max,"
        "  step_up_minor = excluded.step_up_minor, written_at = excluded.written_at",
        terms.currency,
        terms.is_on,
        terms.top_up_minor_min,
        terms.top_up_minor_max,
        terms.balance_minor_max,
        terms.step_up_minor,
        now,
    )
