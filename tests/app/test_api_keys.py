"""API keys at the command line: made, told once, listed without the secret, revoked."""


def _merchant(place) -> str:
    [row] = place.sql("select merchant from catalog.shop")
    return str(row["merchant"])


def test_a_key_is_told_once_and_can_be_revoked(place) -> None:
    """The key is printed when it is made and never again; each act is in the log."""
    merchant = _merchant(place)
    words = ["--merchant", merchant, "--scope", "orders:read", "--scope", "balance:read"]
    made = place.json("api-keys", "create", *words, "--name", "robot")
    [row] = place.sql("select id from identity.api_key")
    there = ["api-keys", "allow", row["id"], "--merchant", merchant, "--network"]
    place.cli(*there, "203.0.113.0/24")
    place.cli(*there, "nowhere", exit_code=2)
    listed = place.cli("api-keys", "list", "--merchant", merchant, "--json").stdout
    place.cli("api-keys", "revoke", row["id"], "--merchant", merchant)
    place.cli("api-keys", "revoke", row["id"], "--merchant", merchant, exit_code=2)
    acts = place.sql("select act from identity.act order by id")

    assert made["key"].startswith("vrk_")
    assert made["key"] not in listed
    assert made["prefix"] in listed
    assert "203.0.113.0/24" in listed
    assert ["api_key.made", "api_key.changed", "api_key.revoked"] == [each["act"] for each in acts]


def test_nothing_is_made_for_nobody_or_for_no_scope(place) -> None:
    """An unknown merchant and an unknown scope are refused with advice."""
    nobody = "01KB2M8Z7Q9V4T6W3X5Y1N0PQR"
    told = place.cli(
        "api-keys", "create", "--merchant", nobody, "--scope", "orders:read", exit_code=2
    )
    other = place.cli(
        "api-keys", "create", "--merchant", _merchant(place), "--scope", "all", exit_code=2
    )

    assert "There is no merchant" in told.stderr
    assert "No such scope: all" in other.stderr
    assert [] == place.sql("select 1 from identity.api_key")
