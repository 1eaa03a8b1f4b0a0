"""Forbidden goods: found through every disguise, not sold, allowed or taken down by a person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendrail.api.catalog import (
    GoodsDecision,
    GoodsQuery,
    GoodsRule,
    GoodsRules,
    GoodsState,
    GoodsVerdict,
    ProductQuery,
)
from vendrail.api.catalog.warranties import ProductWarranty
from vendrail.catalog.screening import RULES_MAX, clean_rules, former_fingerprint, screen
from vendrail.catalog.service.goods import RULED
from vendrail.kernel.codec import replace

REVIEW = GoodsVerdict.REVIEW


@pytest.mark.parametrize(
    "word, text",
    [
        ("casino", "Online CASINO chips"),
        ("casino", "c a s i n o"),
        ("casino", "ｃａｓｉｎｏ"),
        ("casino", "c.a-s_i*n·o"),
        ("casino", "саsinо"),  # Two letters of it are Cyrillic.
        ("casino", "cas1n0"),
        ("casino", "ca\u200bsi\u00adno"),
        ("casino", "cásíno"),
        ("赌博", "線上賭博平台"),
        ("賭博", "线上赌 博 平台"),
        ("赌博", "赌-博"),
        ("成人影片", "成 人・影.片"),
        ("fake id", "Fake-ID, fast"),
    ],
)
def test_a_word_is_found_through_its_disguises(word, text):
    """Width, case, marks, look-alikes, scripts and signs between letters hide nothing."""
    assert [GoodsRule(word)] == screen([text], "", [GoodsRule(word)])


@pytest.mark.parametrize(
    "word, text",
    [
        ("penis", "a pen is mightier"),
        ("arms", "farms"),
        ("weed", "we educate"),
        ("casino", "occasino's"),
    ],
)
def test_what_only_looks_near_is_not_found(word, text):
    """Inside of other words, and across two of them, a Latin word is none."""
    assert [] == screen([text], "", [GoodsRule(word)])


def test_a_category_is_forbidden_whole():
    """A category's rule asks for the category alone, in whatever case; words do not meet it."""
    rule = GoodsRule("Gambling", is_category=True)

    assert [rule] == screen(["chips"], " GAMBLING ", [rule])
    assert [] == screen(["gambling"], "games", [rule])


@given(st.text(max_size=200), st.text(max_size=60))
def test_no_text_breaks_the_screening(text, word):
    """Whatever is written, rules are cleaned or refused, and looked for."""
    rules = clean_rules([GoodsRule(word)])
    found = screen([text, word], "", rules or [])

    assert rules is None or found == rules


def test_rules_have_a_bound():
    """So many rules and no more; each word once."""
    many = [GoodsRule(f"word {number}") for number in range(RULES_MAX)]

    assert RULES_MAX == len(clean_rules([*many, *many]))
    assert clean_rules([*many, GoodsRule("one more")]) is None
    assert clean_rules([GoodsRule(" - ")]) is None


async def forbid(catalog, *rules):
    """Write a version of the rules."""
    version = GoodsRules(list(rules), written_by="ad@rail.example")
    assert ["created"] == await catalog.put_goods_rules([version])


async def sells(catalog, product):
    """Whether a product is found, shown as on sale, and can be ordered: all of it or nothing."""
    [found] = await catalog.find_products([ProductQuery()])
    [view] = await catalog.read_products([product.id])
    [offer] = await catalog.read_offers([product.variants[0].sku])
    told = {product.id in [each.product.id for each in found], view.is_on_sale, offer.is_on_sale}
    assert 1 == len(told)
    return told.pop()


async def case_of(catalog, product):
    """Read what was found of a product."""
    [case] = await catalog.read_goods_cases([product.id])
    return case


async def test_no_page_of_cases_loses_what_was_found_at_one_moment(catalog, scene):
    """Products found at the same moment follow each other over the pages, each once."""
    await forbid(catalog, GoodsRule("casino"))
    await catalog.put_shops([scene.shop])
    products = [scene.product(sku, description="A casino") for sku in ("one", "two", "three")]
    await catalog.put_products(products)
    seen, query = [], GoodsQuery(cases_max=1)
    while True:
        [page] = await catalog.list_goods_cases([query])
        if not page:
            break
        seen += [case.subject for case in page]
        last = page[-1]
        query = replace(query, before=last.changed_at, before_subject=last.subject)

    assert sorted((each.id for each in products), reverse=True) == seen


async def test_forbidden_goods_are_not_sold_until_their_text_is_another(catalog, scene):
    """A blocked product is found by nobody and cannot be ordered; written anew it is sold again."""
    await forbid(catalog, GoodsRule("casino"), GoodsRule("gift card", REVIEW))
    await scene.stock(catalog, 3, description="Chips for any c4sino")
    product = scene.product(description="Chips for any c4sino")
    before, found = await sells(catalog, product), await case_of(catalog, product)
    [queue] = await catalog.list_goods_cases([GoodsQuery()])
    mended = scene.product(description="A gift card")
    await catalog.put_products([mended])
    after, watched = await sells(catalog, product), await case_of(catalog, product)
    clean = scene.product(description="A game")
    await catalog.put_products([clean])

    assert (False, True) == (before, after)
    assert ([GoodsRule("casino")], True) == (found.found, found.is_blocked)
    assert [product.id] == [case.subject for case in queue]
    assert (GoodsState.OPEN, False) == (watched.state, watched.is_blocked)
    assert GoodsState.ENDED is (await case_of(catalog, product)).state
    assert await sells(catalog, product)


async def test_new_rules_look_through_what_is_on_the_shelves(catalog, service, scene):
    """A product that was there before a rule is found by it; twice looked changes nothing."""
    await scene.stock(catalog, 1)
    await scene.stock(catalog, 1, "poker", category="Casino")
    await forbid(catalog, GoodsRule("casino", is_category=True))
    while await service.sweep_goods():
        pass
    before = await case_of(catalog, scene.product("poker"))
    await service.sweep_goods()

    assert await sells(catalog, scene.product())
    assert not await sells(catalog, scene.product("poker"))
    assert before == await case_of(catalog, scene.product("poker"))
    assert await case_of(catalog, scene.product()) is None


async def test_new_rules_wake_whoever_looks_through_the_shelves(catalog, wakeups):
    """What is forbidden is not sold until some poll comes round: writing rules begins the look."""
    woken = wakeups.subscribe(RULED)
    await forbid(catalog, GoodsRule("casino"))
    first = woken.is_set()
    woken.clear()
    again = await catalog.put_goods_rules([GoodsRules([GoodsRule("casino")])])

    assert (["unchanged"], True, False) == (again, first, woken.is_set())


async def test_what_a_person_allows_is_sold_and_not_asked_again(catalog, scene):
    """Allowed for a rule, it is sold, also after another text; another rule asks again."""
    await forbid(catalog, GoodsRule("casino"), GoodsRule("weapon"))
    await scene.stock(catalog, 1, title="Casino Royale")
    product = scene.product(title="Casino Royale")
    allow = GoodsDecision(product.id, is_allowed=True, by="ad", reason="it is a film")
    statuses = await catalog.decide_goods([allow, allow])
    allowed = await sells(catalog, product)
    await catalog.put_products([scene.product(title="Casino Royale, the film")])
    still = await sells(catalog, product)
    await catalog.put_products([scene.product(title="Casino weapon")])

    assert ["decided", "unchanged"] == statuses
    assert (True, True) == (allowed, still)
    assert not await sells(catalog, product)


async def test_a_text_that_nobody_has_looked_at_is_not_allowed(catalog, scene):
    """Written anew, or under other rules, since a person looked: they look again first."""
    await forbid(catalog, GoodsRule("casino"), GoodsRule("gift card", REVIEW))
    await scene.stock(catalog, 1, description="A gift card")
    product = scene.product(description="A gift card")
    looked = await case_of(catalog, product)
    await catalog.put_products([scene.product(description="Chips for any casino")])
    now = await case_of(catalog, product)
    version = now.rules_version
    allow = GoodsDecision(product.id, True, "ad", "harmless", looked.seen, looked.rules_version)
    statuses = await catalog.decide_goods(
        [allow, replace(allow, seen=now.seen, rules_version=version + 1)]
    )
    stopped = await sells(catalog, product)
    statuses += await catalog.decide_goods([replace(allow, seen=now.seen)])

    assert ["changed_since", "changed_since", "decided"] == statuses
    assert not stopped
    assert await sells(catalog, product)


async def test_what_a_warranty_covers_is_looked_at(catalog, scene):
    """Its words are found as those of the product are."""
    await forbid(catalog, GoodsRule("casino"))
    warranty = ProductWarranty(24, "Casino chips, write to the dealer.")
    await scene.stock(catalog, 1, warranty=warranty)
    found = await case_of(catalog, scene.product(warranty=warranty))

    assert ([GoodsRule("casino")], True) == (found.found, found.is_blocked)


async def test_what_a_person_takes_down_stays_down_until_one_looks_again(catalog, scene):
    """A takedown needs no rule; the same text changes nothing, another one waits for a person."""
    await scene.stock(catalog, 1)
    product = scene.product()
    down = GoodsDecision(product.id, is_allowed=False, by="ad", reason="stolen keys")
    unknown = replace(down, subject=scene.shop.id)
    statuses = await catalog.decide_goods([down, unknown])
    await forbid(catalog, GoodsRule("casino"))
    await catalog.put_products([scene.product(restock_wait_s=5)])
    same = await case_of(catalog, product)
    await catalog.put_products([scene.product(title="Own keys")])
    appealed, waits = await case_of(catalog, product), await sells(catalog, product)
    await catalog.decide_goods([replace(down, is_allowed=True, reason="shown the invoice")])

    assert ["decided", "not_found"] == statuses
    assert (GoodsState.TAKEN_DOWN, "stolen keys") == (same.state, same.reason)
    assert (GoodsState.OPEN, True, False) == (appealed.state, appealed.is_appealed, waits)
    assert await sells(catalog, product)


async def test_looking_at_more_of_a_text_is_no_appeal(catalog, service, scene, db):
    """Taken down while less of it was looked at, a product stays so: nobody has written anew."""
    await forbid(catalog, GoodsRule("casino"))
    warranty = ProductWarranty(24, "Write to the dealer.")
    await scene.stock(catalog, 1, warranty=warranty)
    product = scene.product(warranty=warranty)
    await catalog.decide_goods([GoodsDecision(product.id, False, "ad", "stolen keys")])
    while await service.sweep_goods():
        pass
    before = await case_of(catalog, product)
    async with db.transaction() as tx:
        former = former_fingerprint(product)
        await tx.execute("update catalog.goods_case set seen = $1", former)
        await tx.execute("delete from catalog.goods_sweep")
    while await service.sweep_goods():
        pass
    after = await case_of(catalog, product)

    assert former != before.seen
    assert (GoodsState.TAKEN_DOWN, False) == (after.state, after.is_appealed)
    assert before == after


async def test_another_text_fends_off_no_takedown(catalog, scene):
    """The product is taken down, whatever a merchant has written since a person looked at it."""
    await forbid(catalog, GoodsRule("gift card", REVIEW))
    await scene.stock(catalog, 1, description="A gift card")
    product = scene.product(description="A gift card")
    looked = await case_of(catalog, product)
    await catalog.put_products([scene.product(description="A gift card, really")])
    down = GoodsDecision(product.id, False, "ad", "stolen", looked.seen, looked.rules_version)
    statuses = await catalog.decide_goods([down])

    assert ["decided"] == statuses
    assert GoodsState.TAKEN_DOWN is (await case_of(catalog, product)).state
    assert not await sells(catalog, product)


async def test_a_shop_says_nothing_forbidden(catalog, scene):
    """A shop with forbidden words is not written; what stood there before may still be closed."""
    named = replace(scene.shop, name="Casino keys")
    await catalog.put_shops([named])
    await forbid(catalog, GoodsRule("casino"))
    closing = replace(named, is_open=False)
    statuses = await catalog.put_shops(
        [replace(named, notice="The best casino"), closing, replace(named, name="Keys")]
    )

    assert ["text_forbidden", "changed", "changed"] == statuses


async def test_rules_are_versions(catalog):
    """The same rules are no new version; the newest comes first, with who wrote it."""
    await forbid(catalog, GoodsRule("casino"))
    same = await catalog.put_goods_rules([GoodsRules([GoodsRule("casino")])])
    await forbid(catalog)
    newest, first = await catalog.list_goods_rules(10)

    assert ["unchanged"] == same
    assert ([], [GoodsRule("casino")]) == (newest.rules, first.rules)
    assert "ad@rail.example" == newest.written_by
