"""People at the command line: the first operator, invitations, unlocking."""

import re

PASSWORD = "a quiet lake at dawn"


def test_the_first_operator_is_invited_by_a_link(place) -> None:
    """A link is printed, good once; no password is made up, and nobody works here before."""
    told = place.cli("create-operator", "--email", "Ann@rail.example")
    [row] = place.sql("select email, role from identity.link")

    assert re.search(r"^http://\S+/join/[\w-]{43}$", told.stdout, re.MULTILINE)
    assert ("ann@rail.example", "operator_admin") == (row["email"], row["role"])
    assert [] == place.json("people", "list")


def test_the_address_is_asked_for(place) -> None:
    """Without --email a person is asked; what is no address is refused."""
    place.cli("create-operator", "--email", "nobody", exit_code=2)

    assert [] == place.sql("select 1 from identity.link")


def test_a_merchants_owner_is_invited(place) -> None:
    """A new merchant is named with its first owner; a role of the other side is refused."""
    told = place.json(
        "people", "invite", "bo@north.example", "--role", "owner", "--name", "North Games"
    )
    place.cli("people", "invite", "cy@north.example", "--role", "owner", exit_code=2)
    [row] = place.sql("select name from identity.merchant")

    assert "invited" == told["status"]
    assert "North Games" == row["name"]


def test_only_who_is_there_is_unlocked(place) -> None:
    """An unknown address is said in one line; a reason is needed."""
    result = place.cli("people", "unlock", "no@north.example", "--reason", "asks", exit_code=2)
    place.cli("people", "unlock", "no@north.example", exit_code=2)

    assert "Nobody works here" in result.stderr
