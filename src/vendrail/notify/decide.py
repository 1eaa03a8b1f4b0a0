"""Which messages are taken, and what follows when one could not be sent. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from vendrail.api.notify import LetterState, Message, MessageStatus

_RECIPIENT = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_RECIPIENT_LENGTH_MAX = 254
_VALUE_LENGTH_MAX = 2_000
_DELAYS_S = (5, 30, 120, 300, 600, 1_800, 3_600)

RANK_ASKED = 0  # Somebody sits and waits for it.
RANK_NEWS = 1


class Form(NamedTuple):
    """What is known of a template: what it must be given, and how long its message is worth."""

    values: frozenset[str]
    life_s: int
    is_replaced: bool = False  # A newer one of the same stream makes it worthless.
    is_news: bool = False  # It tells what happened: only where people are told such by mail.


_OF_FEES = frozenset({"before", "after", "currency", "day", "link"})
_OF_COMPLAINTS = frozenset({"link", "step", "title", "serial", "amount", "hours"})

FORMS: Mapping[str, Form] = {
    "lookup_code": Form(frozenset({"code", "minutes"}), 600, is_replaced=True),
    "sign_in_code": Form(frozenset({"code", "minutes"}), 600, is_replaced=True),
    "passkey_added": Form(frozenset({"passkey", "link"}), 3_600 * 24 * 7),
    "staff_passkey": Form(frozenset({"passkey", "step", "link", "address"}), 3_600 * 24 * 7),
    "chat": Form(frozenset({"step", "chat", "link"}), 3_600 * 24 * 7),
    "invitation": Form(frozenset({"link", "place", "by", "hours"}), 3_600 * 24 * 30),
    "reset": Form(frozenset({"link", "minutes"}), 3_600 * 24),
    "payee_added": Form(frozenset({"account", "link", "by", "usable"}), 3_600 * 24 * 7),
    "reserve_low": Form(
        frozenset({"channel", "free", "waiting", "suggested", "dry", "link"}), 3_600 * 24
    ),
    "debt_owed": Form(frozenset({"amount", "since", "link"}), 3_600 * 24 * 7),
    "fee_changing": Form(_OF_FEES, 3_600 * 24 * 7),
    "fee_kept": Form(_OF_FEES, 3_600 * 24 * 7),
    "deposit_asked": Form(frozenset({"amount", "days", "link"}), 3_600 * 24 * 7),
    "deposit_taken": Form(frozenset({"amount", "reason", "link"}), 3_600 * 24 * 7),
    "deposit_returned": Form(frozenset({"amount", "link"}), 3_600 * 24 * 7),
    "agency": Form(frozenset({"step", "name", "titles", "more", "link"}), 3_600 * 24 * 7),
    "supplied_refunded": Form(frozenset({"amount", "count", "link"}), 3_600 * 24 * 7),
    "payee_doubted": Form(frozenset({"account", "link"}), 3_600 * 24 * 7),
    "payout_undelivered": Form(frozenset({"step", "amount", "account", "link"}), 3_600 * 24 * 7),
    "webhook_disabled": Form(
        frozenset({"url", "days", "reason", "link"}), 3_600 * 24 * 7, is_news=True
    ),
    "registration_code": Form(frozenset({"code", "minutes"}), 900, is_replaced=True),
    "registration_known": Form(frozenset({"link"}), 900, is_replaced=True),
    "application_refused": Form(frozenset({"name", "reason"}), 3_600 * 24 * 7),
    "sales_stopped": Form(frozenset({"reason", "link"}), 3_600 * 24 * 7),
    "sales_resumed": Form(frozenset({"reason", "link"}), 3_600 * 24 * 7),
    "verification": Form(frozenset({"step", "day", "note", "link"}), 3_600 * 24 * 7),
    "domain": Form(frozenset({"step", "host", "days", "link"}), 3_600 * 24 * 7),
    "complaint_buyer": Form(_OF_COMPLAINTS, 3_600 * 72, is_news=True),
    "complaint_staff": Form(_OF_COMPLAINTS, 3_600 * 72, is_news=True),
    "dispute_staff": Form(_OF_COMPLAINTS, 3_600 * 72, is_news=True),
    "message_unread": Form(
        frozenset({"link", "title", "serial", "count"}), 3_600 * 24, is_news=True
    ),
}


class Fate(NamedTuple):
    """What becomes of a message that was tried."""

    state: LetterState
    due_at: datetime
    problem: str
    is_tried: bool = True  # Whether it counts as a try.
    is_diverted: bool = False  # From now on it leaves by e-mail.


def is_address(text: str) -> bool:
    """Say whether a letter can go there: an e-mail address, and nothing beside it."""
    return len(text) <= _RECIPIENT_LENGTH_MAX and _RECIPIENT.fullmatch(text) is not None


def take(message: Message, *, is_telling: bool = True) -> MessageStatus:
    """Say whether a message can be taken."""
    form = FORMS.get(message.template)
    if form is not None and form.is_news and not is_telling:
        return MessageStatus.OFF
    if form is None or not form.values <= message.values.keys():
        return MessageStatus.TEMPLATE_UNKNOWN
    if any(len(value) > _VALUE_LENGTH_MAX for value in message.values.values()):
        return MessageStatus.TEMPLATE_UNKNOWN
    if not is_address(message.recipient):
        return MessageStatus.RECIPIENT_MALFORMED
    return MessageStatus.TAKEN


def stale_at(message: Message, taken_at: datetime) -> datetime:
    """Say from when on a message is of no use: what it says itself, within its form's life."""
    life_s = FORMS[message.template].life_s
    minutes = message.values.get("minutes", "")
    if minutes.isascii() and minutes.isdigit():
        life_s = min(life_s, int(minutes) * 60)
    return taken_at + timedelta(seconds=life_s)


def retry(
    attempts: int, attempts_max: int, now: datetime, stale_at: datetime, problem: str
) -> Fate:
    """Say when a message that surely did not leave is tried again, ever more slowly."""
    if attempts >= attempts_max:
        return Fate(LetterState.FAILED, now, problem)
    due_at = now + timedelta(seconds=_DELAYS_S[min(attempts, len(_DELAYS_S)) - 1])
    if due_at >= stale_at:
        return Fate(LetterState.STALE, now, problem)
    return Fate(LetterState.WAITING, due_at, problem)
