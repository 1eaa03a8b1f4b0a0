"""Chains at the command line: what is not there, or not signed, is refused at once."""


def _acts(place) -> str:
    path = place.home / "acts.jsonl"
    return path.read_text() if path.exists() else ""


def test_only_signed_transactions_are_handed_over(place, tmp_path) -> None:
    """A file that is no list of bytes is refused with advice, and nothing is written down."""
    before = _acts(place)
    for text in ("", "{}", "[5]", '["0x123"]', '["f8"]'):
        path = tmp_path / "signed.json"
        path.write_text(text)
        words = ("chains", "publish", "alipay", path, "--reason", "refunds")
        assert "signed.json" in place.cli(*words, exit_code=2).stderr

    assert before == _acts(place)


def test_a_provider_that_holds_the_money_itself_has_no_plan(place, tmp_path) -> None:
    """Alipay's account and one that is not there are told apart, and no file is made."""
    path = tmp_path / "plan.json"
    words = (path, "--reason", "of today")
    alipay = place.cli("chains", "plan", "alipay", "refunds", *words, exit_code=3)
    nobody = place.cli("chains", "plan", "nobody", "sweep", *words, exit_code=2)
    held = place.cli("chains", "holdings", "alipay", exit_code=3)

    assert "with a provider, not on a chain" in alipay.stderr
    assert "There is no channel" in nobody.stderr
    assert "with a provider, not on a chain" in held.stderr
    assert not path.exists()
