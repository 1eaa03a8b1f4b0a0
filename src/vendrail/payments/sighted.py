"""Transfers that were seen and are not counted, read from their rows: what is asked, what came."""

from typing import Any

from vendrail.api.payments import CaptureSource
from vendrail.payments.accounts import OpenAccount
from vendrail.payments.arriving import Incoming
from vendrail.payments.attempts import read_out_trade_no
from vendrail.payments.channels.watching import WatchingChannel
from vendrail.payments.depositing import Arrived, Asked
from vendrail.payments.store.base import Row


def asked_of(row: Row) -> Asked:
    """Give what is asked for at an address."""
    return Asked(
        row["attempt_id"],
        int(row["units"]),
        row["amount_minor"],
        row["expires_at"],
        row["paid_as"] is not None,
    )


def worth_of(account: OpenAccount, channel: WatchingChannel[Any], row: Row) -> int | None:
    """Give the units of an open transfer in what was asked for; None: nobody knows."""
    settings = account.account.settings
    return channel.convert(int(row["seen_units"]), row["seen_asset"], row["asset"], settings)


def priced_of(account: OpenAccount, row: Row) -> Incoming:
    """Give money that a person has said the worth of: it is not what was asked for."""
    return Incoming(
        account,
        read_out_trade_no(row["out_trade_no"]),
        row["number"],
        row["out_trade_no"],
        row["priced_minor"],
        row["currency"],
        row["seen_at"],
        CaptureSource.QUERY,
        is_price=False,
    )


def arrived_of(
    account: OpenAccount, channel: WatchingChannel[Any], row: Row, final: int
) -> Arrived | None:
    """Give what came in what was asked for; None: nobody knows what it is worth."""
    units = worth_of(account, channel, row)
    if units is None:
        return None
    is_steady = channel.is_steady(row["seen_asset"], row["asset"])
    return Arrived(row["number"], units, row["seen_at"], row["block"] <= final, is_steady)


def place_of(row: Row) -> tuple[int, int, str]:
    """Give where a transfer stands in the chain: its block, and the place in it."""
    number: str = row["number"]
    place = number.rpartition(":")[2]
    return row["block"], int(place) if place.isdigit() else -1, number
