"""Letters at the command line: listed, shown without what they say, tried again by a person."""

from uuid import UUID

from vendrail.kernel.ids import to_serial

NEWS = UUID("01a2076b-4400-7000-8c3a-000000000001")
CODE = UUID("01a2076b-4400-7000-8c3a-000000000002")


def keep_letters(place, order) -> None:
    """Put a letter about an order that may have left, and a code that failed."""
    place.sql(
        "insert into notify.message"
        " (id, template, state, subject, facts, problem, attempts, taken_at, stale_at, due_at)"
        f" values ('{NEWS}', 'order_delivered', 'unknown', '{order}', '{{}}', 'It fell silent.', 1,"
        "  now(), now() + interval '1 day', now()),"
        f" ('{CODE}', 'lookup_code', 'failed', null, null, 'Refused: 550.', 1,"
        "  now(), now() + interval '1 day', now()) returning id"
    )


def test_letters_are_listed_and_shown(place) -> None:
    """By state and by order; with what went wrong; one that is not there is said so, with 2."""
    order = place.orders["sold"]
    keep_letters(place, order)

    failed = place.json("letters", "list", "--state", "failed")
    of_order = place.json("letters", "list", "--order", to_serial(UUID(str(order))))
    everything = place.cli("letters", "list")
    shown = place.cli("letters", "show", to_serial(NEWS))

    assert [str(CODE)] == [letter["id"] for letter in failed]
    assert [str(NEWS)] == [letter["id"] for letter in of_order]
    assert to_serial(NEWS) in everything.stdout
    assert to_serial(CODE) in everything.stdout
    assert "It fell silent." in shown.stdout
    place.cli("letters", "show", "0" * 26, exit_code=2)


def test_a_merchant_is_left_alone(place) -> None:
    """Letters of a template are turned off and on for a merchant; others cannot be chosen."""
    merchant = UUID(int=7 << 76 | 1 << 63)

    off = place.json("letters", "choose", merchant, "stock_low", "--off", "--reason", "asked")
    [row] = place.sql("select merchant, template from notify.muted")
    place.cli("letters", "choose", merchant, "stock_low", "--reason", "asked")
    place.cli("letters", "choose", merchant, "lookup_code", "--off", "-r", "x", exit_code=2)

    assert not off["is_wanted"]
    assert (merchant, "stock_low") == tuple(row)
    assert [] == place.sql("select * from notify.muted")


def test_only_what_can_be_sent_is_tried_again(place) -> None:
    """News that may have left waits again, once; a code's words are erased; why is recorded."""
    keep_letters(place, place.orders["sold"])

    again = place.json("letters", "retry", to_serial(NEWS), "--reason", "asked for")
    place.cli("letters", "retry", to_serial(NEWS), "--reason", "again", exit_code=2)
    refused = place.cli("letters", "retry", to_serial(CODE), "--reason", "x", exit_code=2)

    assert "waiting" == again["state"]
    assert "erased" in refused.stderr
    [row] = place.sql(f"select state, attempts from notify.message where id = '{NEWS}'")
    assert ("waiting", 0) == (row["state"], row["attempts"])
    assert "asked for" in (place.home / "acts.jsonl").read_text()
