"""Merchants' money: where it is, and how it came there."""

from typing import get_args

from vendrail.api.ledger import Chart, Entry, EntryQuery, Ledger, MerchantPart, TransferId
from vendrail.api.settlement import MerchantBalance, Settlement
from vendrail.gateway.exchange import Answer, Exchange, Refusal, said
from vendrail.gateway.merchant import asked, problems
from vendrail.gateway.merchant.bodies import (
    BalanceBody,
    BalanceListBody,
    EntryBody,
    EntryListBody,
)
from vendrail.gateway.merchant.keyring import Program
from vendrail.gateway.problems import QUERY_MALFORMED
from vendrail.kernel.codec import encode
from vendrail.kernel.errors import Malformed
from vendrail.kernel.ids import from_serial, to_serial
from vendrail.kernel.money import EXPONENTS

# Nothing is ever booked to a deposit yet.
PARTS: tuple[MerchantPart, ...] = tuple(
    each for each in get_args(MerchantPart) if each != "deposit"
)


class MoneyRoom:
    """Answers about a merchant's balance."""

    def __init__(self, settlement: Settlement, ledger: Ledger, default_currency: str) -> None:
        self._settlement = settlement
        self._ledger = ledger
        self._default_currency = default_currency

    async def read_balance(self, _: Exchange, program: Program, __: str) -> Answer:
        """Read the balance in every currency that the merchant sells in."""
        (terms,) = await self._settlement.read_fee_terms([program.merchant])
        currencies = sorted({self._default_currency, *(each.currency for each in terms)})
        found = await self._settlement.read_merchant_balances(
            [(program.merchant, currency) for currency in currencies]
        )
        return said(200, encode(BalanceListBody([_balance(each) for each in found])))

    async def list_entries(self, exchange: Exchange, program: Program, _: str) -> Answer:
        """List a page of the movements of one part of the balance."""
        query = exchange.query()
        currency = query.get("currency") or self._default_currency
        if currency not in EXPONENTS:
            raise Refusal(QUERY_MALFORMED, f"currency is one of {', '.join(sorted(EXPONENTS))}.")
        part = next((each for each in PARTS if each == query.get("part", "available")), None)
        if part is None:
            raise Refusal(QUERY_MALFORMED, f"part is one of {', '.join(PARTS)}.")
        before, entries_max = asked.before(query), asked.limit(query)
        account = Chart(currency).merchant(program.merchant, part)
        since = TransferId(before) if before else None
        (entries,) = await self._ledger.read_entries(
            [EntryQuery(account.id, since, entries_max, is_moved=True)]
        )
        is_full = len(entries) == entries_max
        body = EntryListBody(
            [_entry(each) for each in entries],
            to_serial(entries[-1].transfer) if entries and is_full else None,
        )
        return said(200, encode(body))

    async def prove_entry(self, _: Exchange, program: Program, serial: str) -> Answer:
        """Prove a movement of the merchant's by the sealed journal."""
        try:
            id = TransferId(from_serial(serial))
        except Malformed:
            raise Refusal(problems.PROOF_NOT_FOUND) from None
        (terms,) = await self._settlement.read_fee_terms([program.merchant])
        own = {
            Chart(currency).merchant(program.merchant, part).id
            for currency in {self._default_currency, *(each.currency for each in terms)}
            for part in PARTS
        }
        (proof,) = await self._ledger.prove_transfers([id])
        if proof is None or own.isdisjoint(proof.accounts):
            raise Refusal(problems.PROOF_NOT_FOUND)
        return said(200, encode(proof))


def _balance(balance: MerchantBalance) -> BalanceBody:
    return BalanceBody(
        balance.currency,
        balance.held_minor,
        balance.available_minor,
        balance.pending_minor,
        balance.reserve_minor,
        balance.frozen_minor,
        balance.debt_minor,
        balance.leaving_minor,
    )


def _entry(entry: Entry) -> EntryBody:
    return EntryBody(
        to_serial(entry.transfer),
        entry.amount_minor,
        entry.code,
        to_serial(entry.subject),
        entry.memo,
        entry.at,
    )
