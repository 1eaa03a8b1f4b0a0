"""The desks at the command line: orders, sagas, reviews, unmatched money, channels."""

import json
from uuid import UUID

import pytest
from tests.app.conftest import MISPAID_MINOR

from vendrail.kernel.ids import to_serial


def acts(place) -> list[tuple[str, str]]:
    """What was recorded: act and reason."""
    lines = (place.home / "acts.jsonl").read_text().splitlines()
    return [(act["act"], act["reason"]) for act in map(json.loads, lines)]


def test_an_order_is_shown_whole_but_for_its_keys(place) -> None:
    """An order's state, attempts, captures and refunds are shown, by serial or id; never a key."""
    serial = to_serial(place.orders["part"])

    shown = place.cli("orders", "show", serial.lower())
    told = place.json("orders", "show", place.orders["part"])

    assert serial in shown.stdout
    assert "delivered" in shown.stdout
    assert "S1-KEY" not in shown.stdout
    assert serial == told["order"]["serial"]
    assert [] == told["order"]["items"]
    assert [500] == [refund["amount_minor"] for refund in told["refunds"]]
    assert 1 == len(told["captures"]) == len(told["attempts"])


def test_an_order_that_is_not_there(place) -> None:
    """An unknown order is said in one line, with 2."""
    result = place.cli("orders", "show", "0" * 26, exit_code=2)

    assert "no order" in result.stderr


def test_refunds_in_parts_up_to_the_whole(place) -> None:
    """A part, then the rest; more than is left is refused; the books stay in order."""
    order = place.orders["sold"]

    part = place.json("orders", "refund", order, "--amount", "5.00", "--reason", "half works")
    place.cli("orders", "refund", order, "--amount", "99", "--yes", "--reason", "x", exit_code=2)
    rest = place.json("orders", "refund", order, "--reason", "does not work")
    place.cli("orders", "refund", order, "--yes", "--reason", "again", exit_code=2)

    assert ("paid", 500) == (part["refund"]["state"], part["refund"]["amount_minor"])
    assert ("paid", 1490) == (rest["refund"]["state"], rest["refund"]["amount_minor"])
    assert place.json("audit")["ok"]
    [row] = place.sql("select person from orders.refund where reason = 'half works'")
    assert row["person"].endswith("(command line)")
    assert ("orders.refund", "half works") in acts(place)


def test_a_refund_is_asked_about_first(place) -> None:
    """Without --yes, and with nobody there to ask, no money moves."""
    order = place.orders["sold"]

    place.cli("orders", "refund", order, "--reason", "a test", exit_code=2)
    place.cli("orders", "refund", order, "--yes", exit_code=2)

    assert [] == place.json("orders", "show", order)["refunds"]


@pytest.mark.parametrize("amount", ["0", "-1", "1.005", "lots"])
def test_strange_amounts_are_refused(place, amount: str) -> None:
    """An amount that is none is refused before anything is written."""
    place.cli(
        "orders", "refund", place.orders["sold"], f"--amount={amount}", "--yes", "-r", "x",
        exit_code=2,
    )  # fmt: skip

    assert not (place.home / "acts.jsonl").exists()


def test_a_review_is_released_and_delivered(place, provider) -> None:
    """An order under review is listed; released, the platform delivers it."""
    serial = to_serial(place.orders["watched"])
    [review] = place.json("risk", "reviews")

    place.cli("risk", "release", serial, "--reason", "known buyer")
    place.sell(provider)

    assert str(place.orders["watched"]) == review["order"]
    assert "delivered" == place.json("orders", "show", serial)["order"]["state"]
    assert [] == place.json("risk", "reviews")
    assert ("risk.allow", "known buyer") in acts(place)
    place.cli("risk", "refuse", serial, "--yes", "--reason", "too late", exit_code=2)


def test_a_review_is_refused_and_refunded(place, provider) -> None:
    """Refused, the platform gives the money back; the books stay in order."""
    serial = to_serial(place.orders["watched"])

    place.cli("risk", "refuse", serial, "--reason", "a thief", exit_code=2)  # Nobody to ask.
    place.cli("risk", "refuse", serial, "--yes", "--reason", "a thief")
    place.sell(provider)

    assert "refunded" == place.json("orders", "show", serial)["order"]["state"]
    assert place.json("audit")["ok"]


def test_an_order_that_is_not_under_review(place) -> None:
    """Only what waits can be released."""
    result = place.cli("risk", "release", place.orders["sold"], "--reason", "a test", exit_code=2)

    assert "not under review" in result.stderr


def test_lists_are_kept_and_forgotten(place) -> None:
    """A contact is blocked and unblocked; a subject of no kind is refused."""
    new = place.json("risk", "block", "contact:thief@example.com", "--reason", "chargebacks")
    known = place.json("risk", "block", "contact:thief@example.com", "--reason", "again")
    place.cli("risk", "unblock", "contact:thief@example.com", "--reason", "mistaken")

    assert (True, False) == (new["is_new"], known["is_new"])
    place.cli("risk", "unblock", "contact:thief@example.com", "--reason", "x", exit_code=2)
    place.cli("risk", "block", "thief", "--reason", "x", exit_code=2)


def test_unmatched_money_is_matched(place, provider) -> None:
    """Money of another amount is on the desk; an order that asks just that is filled by it."""
    [capture] = place.json("unmatched", "list")
    id, order = to_serial(UUID(capture["id"])), to_serial(place.orders["expired"])
    mispaid = to_serial(place.orders["mispaid"])

    place.cli("unmatched", "match", id, mispaid, "--reason", "it was for this", exit_code=2)
    place.cli("unmatched", "match", id, order, "--reason", "buyer sent proof")
    place.sell(provider)

    assert ("amount_differs", MISPAID_MINOR) == (capture["fit"], capture["amount_minor"])
    assert [] == place.json("unmatched", "list")
    assert ("unmatched.match", "buyer sent proof") in acts(place)
    place.cli("unmatched", "refund", id, "--yes", "--reason", "otherwise", exit_code=2)
    assert place.json("audit")["ok"]


def test_unmatched_money_is_given_back(place, provider) -> None:
    """Nobody's money goes back to who paid it, out of suspense."""
    [capture] = place.json("unmatched", "list")
    id = to_serial(UUID(capture["id"]))

    place.cli("unmatched", "refund", id, "--yes", "--reason", "nobody claims it")
    place.sell(provider)

    assert [("succeeded", MISPAID_MINOR)] == [
        (row["state"], row["amount_minor"])
        for row in place.sql(
            "select state, amount_minor from payments.refund where capture_id = $1",
            UUID(capture["id"]),
        )
    ]
    assert place.json("audit")["ok"]


def test_unmatched_money_that_is_not_there(place) -> None:
    """A capture that is not on the desk is refused with 2."""
    place.cli("unmatched", "refund", "0" * 26, "--yes", "--reason", "x", exit_code=2)


def test_sagas_are_listed_and_woken(place) -> None:
    """What has not ended is listed; an order's sagas look again when told to."""
    order = to_serial(place.orders["watched"])

    [saga] = place.json("sagas", "list")
    stuck = place.json("sagas", "list", "--stuck")
    place.cli("sagas", "retry", order, "--reason", "a test")
    refused = place.cli("sagas", "retry", place.orders["sold"], "--reason", "x", exit_code=2)

    assert ("purchase", "waiting", "review") == (saga["kind"], saga["state"], saga["reason"])
    assert [] == stuck
    [row] = place.sql("select due_at <= now() + interval '1 hour' as is_due from orders.saga")
    assert row["is_due"]
    assert "sagas list" in refused.stderr


def test_a_saga_of_no_order_is_woken_by_its_number(place) -> None:
    """What belongs to a capture alone is named by the number that the list shows."""
    capture = to_serial(UUID(int=7))
    place.sql("update orders.saga set kind = 'suspense', subject = $1, id = $2, state = 'stuck'",
              UUID(int=7), UUID(int=8))  # fmt: skip

    shown = place.cli("sagas", "list")
    number = to_serial(UUID(int=8))
    place.cli("sagas", "retry", capture, "--reason", "x", exit_code=2)
    told = place.json("sagas", "retry", number, "--reason", "the books are mended")

    assert number in shown.stdout
    assert {"id": number, "woken": True} == told
    assert ["running"] == [row["state"] for row in place.sql("select state from orders.saga")]


def test_a_stuck_purchase_is_given_up(place, provider) -> None:
    """By its order or its saga, once it is stuck: the platform gives the money back."""
    order = to_serial(place.orders["watched"])
    [saga] = place.json("sagas", "list")
    number = to_serial(UUID(saga["id"]))
    early = place.cli("sagas", "give-up", order, "--yes", "--reason", "x", exit_code=2)
    place.sql("update orders.saga set state = 'stuck', problem = 'The books disagree.'")
    place.cli("sagas", "give-up", order, "--reason", "nobody to ask", exit_code=2)
    told = place.json("sagas", "give-up", number, "--reason", "cannot be filled")
    place.sell(provider)

    assert "not stuck" in early.stderr
    assert {"order": order, "status": "given_up"} == told
    assert "refunded" == place.json("orders", "show", order)["order"]["state"]
    assert ("sagas.give_up", "cannot be filled") in acts(place)
    for name, words in {
        "watched": "has gone back",
        "sold": "orders refund",
        "expired": "nobody",
    }.items():
        late = place.cli(
            "sagas", "give-up", place.orders[name], "--yes", "--reason", "x", exit_code=2
        )
        assert words in late.stderr
    assert place.json("audit")["ok"]


def test_a_stuck_saga_is_found_by_people(place) -> None:
    """A saga that waits for a person is listed as stuck, with its problem."""
    place.sql("update orders.saga set state = 'stuck', problem = 'The books disagree.'")

    shown = place.cli("sagas", "list", "--stuck")
    [saga] = place.json("sagas", "list", "--stuck")

    assert "The books disagree." in " ".join(shown.stdout.split())
    assert str(place.orders["watched"]) == saga["order"]


def channel_file(tmp_path, provider, **changes: str):
    """Write a channel's TOML, its private key in a file beside it."""
    settings = provider.settings() | changes
    (tmp_path / "app.key").write_text(settings.pop("app_private_key"))
    lines = ['kind = "alipay"', 'title = "支付宝"', "[settings]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in settings.items()]
    lines.append('app_private_key = {file = "app.key"}')
    path = tmp_path / "alipay.toml"
    path.write_text("\n".join(lines))
    return path


def test_a_channel_is_added_from_a_file(place, provider, tmp_path) -> None:
    """A file makes a channel; its secrets show nowhere, and again it changes nothing."""
    file = channel_file(tmp_path, provider)

    added = place.cli("channels", "add", "second", file, "--reason", "new contract")
    again = place.json("channels", "add", "second", file, "--reason", "again")
    listed = place.cli("channels", "list")
    told = place.cli("channels", "list", "--json")

    assert "/callbacks/" in added.stdout
    assert "unchanged" == again["status"]
    assert "second" in listed.stdout
    for result in (added, listed, told):
        assert "PRIVATE KEY" not in result.output
    assert "********" in told.stdout


def test_a_channel_file_that_is_wrong(place, provider, tmp_path) -> None:
    """What is wrong in a file is named, never shown, and nothing is written."""
    wrong = channel_file(tmp_path, provider, seller_id="1")
    result = place.cli("channels", "add", "second", wrong, "--reason", "x", exit_code=2)
    strange = channel_file(tmp_path, provider, colour="red")
    unknown = place.cli("channels", "add", "second", strange, "--reason", "x", exit_code=2)

    assert "seller_id" in result.stderr
    assert "colour" in unknown.stderr
    assert 1 == len(place.json("channels", "list"))


def test_a_channel_is_disabled_and_enabled(place) -> None:
    """A disabled channel keeps its secrets, and is offered again when enabled."""
    place.cli("channels", "disable", "alipay", "--reason", "key leaked")
    [off] = place.json("channels", "list")
    place.cli("channels", "enable", "alipay", "--reason", "new key")
    [on] = place.json("channels", "list")

    assert (False, True) == (off["is_active"], on["is_active"])
    assert off["settings"] == on["settings"]
    assert [("channels.disable", "key leaked"), ("channels.enable", "new key")] == acts(place)
    place.cli("channels", "disable", "nothing", "--reason", "x", exit_code=2)
