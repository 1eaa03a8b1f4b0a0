"""What kept forms promise: sealed, found by their browser alone, and forgotten after an hour."""

from vendrail.api.identity import KEPT_FORM_BYTES_MAX, KEPT_FORM_LIFE, KeptForm, KeptFormQuery
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id

FIELDS = {"title": "What I had typed", "text": "línea\nand another"}


def form(world, **more) -> KeptForm:
    """Make a form of a browser."""
    made = KeptForm(new_id(world.clock.now()), "a browser's secret", "/merchant/shop", FIELDS)
    return replace(made, **more)


async def test_a_kept_form_is_found_by_its_browser_alone(world):
    """As it was typed, by its number and its browser's secret; kept twice, the first one stands."""
    mine = form(world, has_file=True)
    kept = await world.identity.keep_forms([mine, replace(mine, fields={"title": "Other"})])
    queries = [KeptFormQuery(mine.id, each) for each in (mine.browser, "another", "")]
    found, *others = await world.identity.read_kept_forms(queries)

    assert [True, True] == kept
    assert replace(mine, kept_at=world.clock.now()) == found
    assert [None, None] == others


async def test_what_cannot_be_kept_is_told(world):
    """Too much, no browser, or an address that is none: nothing is kept, the others are."""
    large = {"text": "ü" * (KEPT_FORM_BYTES_MAX // 2)}
    forms = [
        form(world, fields=large),
        form(world, browser=""),
        form(world, address="https://elsewhere.example"),
        form(world),
    ]

    assert [False, False, False, True] == await world.identity.keep_forms(forms)


async def test_a_kept_form_is_sealed_and_forgotten(world):
    """Nothing of it can be read in the database; after an hour it is not found, then deleted."""
    mine = form(world)
    await world.identity.keep_forms([mine])
    async with world.db.reading() as tx:
        row = await tx.fetch_row("select browser, sealed from identity.kept_form")
    assert b"typed" not in row["sealed"]
    assert b"secret" not in row["browser"]
    world.clock.advance(KEPT_FORM_LIFE.total_seconds())
    query = KeptFormQuery(mine.id, mine.browser)

    assert [None] == await world.identity.read_kept_forms([query])
    assert await world.service.forget_forms() is False
    async with world.db.reading() as tx:
        assert 0 == await tx.fetch_value("select count(*) from identity.kept_form")
