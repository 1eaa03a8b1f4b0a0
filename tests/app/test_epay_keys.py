"""Epay keys at the command line: made, told once, switched; notices listed and told again."""

import re


def _merchant(place) -> str:
    [row] = place.sql("select merchant from catalog.shop")
    return str(row["merchant"])


def test_a_key_is_told_once_sealed_and_made_anew(place) -> None:
    """The key is printed when it is made, lies sealed, and another one keeps the number."""
    merchant = _merchant(place)
    first = place.json("epay-keys", "make", "--merchant", merchant)
    second = place.json("epay-keys", "make", "--merchant", merchant)
    shown = place.cli("epay-keys", "show", "--merchant", merchant).stdout
    [row] = place.sql("select sealed from epay.account")
    acts = place.sql("select act from identity.act order by id")

    assert (1001, 1001) == (first["pid"], second["pid"])
    assert re.fullmatch(r"[0-9a-f]{32}", first["key"])
    assert first["key"] != second["key"]
    assert "1001" in shown
    assert second["key"] not in shown
    assert second["key"].encode() not in bytes(row["sealed"])
    assert ["card_site.keyed"] * 2 == [each["act"] for each in acts]


def test_switches_are_switched_and_written_down(place) -> None:
    """Open, suspended, refunds: each by its own option, the others stay, each act in the log."""
    merchant = _merchant(place)
    place.cli("epay-keys", "set", "--closed", "--merchant", merchant, exit_code=2)
    place.json("epay-keys", "make", "--merchant", merchant)
    place.cli("epay-keys", "set", "--merchant", merchant, exit_code=2)
    closed = place.json("epay-keys", "set", "--closed", "--refunds", "--merchant", merchant)
    barred = place.json("epay-keys", "set", "--suspended", "--merchant", merchant)
    again = place.json("epay-keys", "set", "--open", "--resumed", "--merchant", merchant)

    names = ("is_open", "is_suspended", "can_refund")
    assert [(False, False, True), (False, True, True), (True, False, True)] == [
        tuple(each[name] for name in names) for each in (closed, barred, again)
    ]
    assert 3 <= len(place.sql("select 1 from identity.act where act = 'card_site.switched'"))


def test_what_is_not_there_is_said(place) -> None:
    """No merchant, no number, nothing to tell: each is said with what to do."""
    nobody = "01KB2M8Z7Q9V4T6W3X5Y1N0PQR"
    told = place.cli("epay-keys", "make", "--merchant", nobody, exit_code=2)
    shown = place.cli("epay-keys", "show", "--merchant", _merchant(place), exit_code=2)
    retried = place.cli("epay-keys", "retry", nobody, exit_code=2)

    assert "There is no merchant" in told.stderr
    assert "epay-keys make" in shown.stderr
    assert "nothing to tell" in retried.stderr
    assert [] == place.json("epay-keys", "notices", "--merchant", _merchant(place))
