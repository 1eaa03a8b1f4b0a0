"""Versions of fee terms as they are kept: never changed, only followed."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from vendrail.api.settlement import FeeTerms
from vendrail.kernel.db import Transaction
from vendrail.settlement.fees import PLATFORM, FeeVersion

FeeKey = tuple[UUID, str]  # A merchant (or the platform) and a currency (or any).


async def load_fee_versions(
    tx: Transaction, keys: Collection[FeeKey]
) -> dict[FeeKey, list[FeeVersion]]:
    """Read all versions of the keys and of the platform's defaults, newest first."""
    rows = await tx.fetch(
        "select merchant, currency, version, basis_points, fixed_minor, fee_minor_min,"
        " is_fee_refunded, valid_from from settlement.fee_terms"
        " where merchant = $3 or (merchant, currency) in"
        " (select * from unnest($1::uuid[], $2::text[]))"
        " order by valid_from desc, version desc",
        [key[0] for key in keys],
        [key[1] for key in keys],
        PLATFORM,
    )
    found: dict[FeeKey, list[FeeVersion]] = {}
    for row in rows:
        found.setdefault((row[0], row[1]), []).append(FeeVersion(*row[2:]))
    return found


async def insert_fee_versions(
    tx: Transaction, terms: Sequence[FeeTerms], made_at: datetime
) -> None:
    """Write new versions."""
    await tx.execute(
        "insert into settlement.fee_terms (merchant, currency, basis_points, fixed_minor,"
        " fee_minor_min, is_fee_refunded, valid_from, made_at)"
        " select *, $8 from unnest($1::uuid[], $2::text[], $3::int[], $4::bigint[],"
        " $5::bigint[], $6::boolean[], $7::timestamptz[])",
        [term.merchant for term in terms],
        [term.currency for term in terms],
        [term.basis_points for term in terms],
        [term.fixed_minor for term in terms],
        [term.fee_minor_min for term in terms],
        [term.is_fee_refunded for term in terms],
        [term.valid_from for term in terms],
        made_at,
    )
