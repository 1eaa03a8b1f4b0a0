"""Merchants' programs at the command line: which do not hear, and telling them again."""

from uuid import UUID

from vendrail.kernel.ids import to_serial

MERCHANT = UUID("01a2076b-4400-7000-8c3a-0000000000aa")
ENDPOINT = UUID("01a2076b-4400-7000-8c3a-0000000000ab")
EVENT = UUID("01a2076b-4400-7000-8c3a-0000000000ac")
DELIVERY = UUID("01a2076b-4400-7000-8c3a-0000000000ad")


def keep_failing(place) -> None:
    """Put an endpoint that has not heard, and what it was not told."""
    place.sql(
        "insert into webhooks.endpoint (id, merchant, url, kinds, is_ordered, note, made_at,"
        " key_id, data_key, sealed, keyed_at, failing_since, asked_at, turn_at)"
        f" values ('{ENDPOINT}', '{MERCHANT}', 'https://hooks.example/', '{{}}', false, '',"
        f" now(), '{ENDPOINT}', '{ENDPOINT}', '', now(), now(), now(), now()) returning id"
    )
    place.sql(
        "insert into webhooks.event (id, merchant, kind, at, kept_at, body) values"
        f" ('{EVENT}', '{MERCHANT}', 'order.paid', now(), now(), '{{}}') returning id"
    )
    place.sql(
        "insert into webhooks.delivery (id, endpoint, event, number, kind, at, state, due_at,"
        f" stale_at) values ('{DELIVERY}', '{ENDPOINT}', '{EVENT}', 1, 'order.paid', now(),"
        " 'given_up', now(), now()) returning id"
    )


def test_those_that_do_not_hear_are_listed_and_told_again(place) -> None:
    """Listed of all and of one merchant; told again within a time, by its own merchant alone."""
    keep_failing(place)
    endpoint, merchant = to_serial(ENDPOINT), to_serial(MERCHANT)
    asked = ("--since", "2026-01-01", "--reason", "asked")

    failing = place.json("webhooks", "failing")
    listed = place.json("webhooks", "list", "--merchant", merchant)
    told = place.json("webhooks", "redeliver", endpoint, "--merchant", merchant, *asked)
    none = place.cli("webhooks", "redeliver", endpoint, "--merchant", merchant, *asked)
    place.cli("webhooks", "redeliver", endpoint, "--merchant", endpoint, *asked, exit_code=2)
    [row] = place.sql("select state, attempts from webhooks.delivery")

    assert [str(ENDPOINT)] == [each["id"] for each in failing] == [each["id"] for each in listed]
    assert not any("secret" in each for each in failing)
    assert ("begun", 1) == (told["status"], told["count"])
    assert none.stdout.startswith("0 are told again.")
    assert ("waiting", 0) == tuple(row)
