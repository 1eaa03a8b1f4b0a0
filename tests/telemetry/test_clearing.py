"""How long something has lain in a clearing account, from its newest entries alone."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.ledger import AccountId, Entry, TransferCode, TransferId, TransferKind
from vendrail.app.clearing import since

START = datetime(2026, 11, 23, tzinfo=UTC)


def entry(minute, subject, amount_minor, kind=TransferKind.SINGLE):
    """One entry of the account."""
    return Entry(
        TransferId(uuid4()),
        AccountId(UUID(int=1)),
        AccountId(UUID(int=2)),
        amount_minor,
        TransferCode.REFUND,
        kind,
        UUID(int=subject),
        "",
        START + timedelta(minutes=minute),
    )


def minute_of(*entries):
    """Say since which minute the oldest amount lies there; entries are given oldest first."""
    began = since(entries[::-1], sum(each.amount_minor for each in entries))
    return None if began is None else (began - START) / timedelta(minutes=1)


def test_what_has_left_is_not_old():
    """A busy account that is never quite empty is as old as what still lies in it."""
    told = minute_of(
        entry(1, 1, 500), entry(2, 2, 300), entry(3, 1, -500), entry(4, 3, 100), entry(5, 2, -300)
    )

    assert 4 == told


def test_an_empty_account_has_no_age():
    """Where all has left, there is nothing to be old."""
    assert minute_of(entry(1, 1, 500), entry(2, 1, -500)) is None


def test_money_that_left_under_another_number_is_found():
    """What came in as unmatched and left for an order is gone, though the numbers differ."""
    assert 2 == minute_of(entry(1, 1, 500), entry(2, 2, 700), entry(3, 9, -500))


def test_pending_entries_move_nothing():
    """A reservation is no balance; its posting is."""
    told = minute_of(entry(5, 1, 200, TransferKind.POST))

    assert 5 == told
    assert since([entry(1, 1, 200, TransferKind.PENDING)], 200) is None


def test_what_is_older_than_all_entries_is_at_least_as_old_as_they():
    """Where the entries do not reach back to an empty account, the oldest is a lower bound."""
    began = since([entry(9, 2, -300), entry(8, 2, 300)], 5_000)

    assert START + timedelta(minutes=8) == began


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 900)), max_size=24))
def test_age_is_that_of_the_oldest_open_subject(steps):
    """Each subject comes in and leaves whole; the oldest one still there gives the age."""
    lying, entries = {}, []
    for minute, (subject, amount_minor) in enumerate(steps):
        if subject in lying:
            entries.append(entry(minute, subject, -lying.pop(subject)[0]))
        else:
            lying[subject] = (amount_minor, minute)
            entries.append(entry(minute, subject, amount_minor))
    expected = min((minute for _, minute in lying.values()), default=None)

    assert expected == minute_of(*entries)
