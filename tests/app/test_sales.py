"""Sales at the command line: stopped, listed, let go on, each in the log."""


def test_a_merchants_sales_are_stopped_and_go_on(place) -> None:
    """Twice is once; the log says who, why and what was before; a shop nobody knows is said so."""
    [row] = place.sql("select merchant from catalog.shop")
    merchant = str(row["merchant"])
    stop = ("sales", "stop", "--merchant", merchant, "--reason", "stolen keys")
    first, again = place.json(*stop), place.json(*stop)
    listed = place.json("sales", "list")
    resumed = place.json("sales", "resume", "--merchant", merchant, "--reason", "a mistake")
    nobody = place.cli(
        "sales", "stop", "--merchant", "01KB2M8Z7Q9V4T6W3X5Y1N0PQR", "--reason", "x", exit_code=2
    )
    acts = place.sql("select act from identity.act order by id")

    assert [True, False, True] == [each["is_new"] for each in (first, again, resumed)]
    assert ["stolen keys"] == [each["reason"] for each in listed]
    assert [] == place.json("sales", "list")
    assert "There is no merchant" in nobody.stderr
    assert ["sales.stopped", "sales.stopped", "sales.resumed"] == [each["act"] for each in acts]
