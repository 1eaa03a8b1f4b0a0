"""What saved filters promise: each person's own, shared within one console, bounded, named once."""

import pytest

from vendrail.api.identity import (
    FILTERS_MAX,
    FilterChange,
    FilterQuery,
    FilterStatus,
    MemberChange,
    Role,
    SavedFilter,
)
from vendrail.kernel.codec import replace
from vendrail.kernel.ids import new_id

PAGE = "/merchant/orders"


class Desk:
    """One person at a merchant's desk, who saves filters."""

    def __init__(self, world, person, merchant) -> None:
        self.world, self.person, self.merchant = world, person, merchant
        self.identity = world.identity

    def filter(self, name="Paid", **more):
        """Make a filter of theirs."""
        id = new_id(self.world.clock.now())
        made = SavedFilter(id, self.person, self.merchant, PAGE, name, {"state": "paid"})
        return replace(made, **more)

    async def save(self, *filters):
        """Save filters."""
        return await self.identity.save_filters(list(filters))

    async def names(self, page=PAGE):
        """Name what they find for a list, those by which it opens with a star."""
        [found] = await self.identity.list_filters([FilterQuery(self.person, self.merchant, page)])
        return [each.name + "*" * each.is_default for each in found]

    async def change(self, filter, name="Paid", *, is_shared=False):
        """Name a filter anew."""
        change = FilterChange(self.person, filter.id, name, is_shared)
        return (await self.identity.change_filters([change]))[0]

    async def drop(self, filter):
        """Remove a filter."""
        return (await self.identity.drop_filters([(self.person, filter.id)]))[0]

    async def open_by(self, filter, *, is_on=True):
        """Let their list open by a filter."""
        choice = (self.person, filter.id, is_on)
        return (await self.identity.choose_default_filters([choice]))[0]


@pytest.fixture
def sit(world):
    """Let somebody join and sit down at a desk."""

    async def join(email, role=Role.SUPPORT, merchant=None) -> Desk:
        token = await world.join(email, role, merchant=merchant)
        session = await world.session(token)
        is_operator = role.value.startswith("operator_")
        place = None if is_operator else (merchant or world.merchant)
        return Desk(world, session.person.id, place)

    return join


async def test_a_filter_is_kept_with_its_fields_and_no_one_elses(sit):
    """What was saved is found again as it was, by its own person alone."""
    ann, ben = await sit("ann@north.example"), await sit("ben@north.example")
    paid = ann.filter("  Paid   today ", query={"state": "paid", "from": "2026-11-01"})
    statuses = await ann.save(paid, paid)
    [[found]] = await ann.identity.list_filters([FilterQuery(ann.person, ann.merchant)])

    assert [FilterStatus.DONE] * 2 == statuses
    assert ("Paid today", paid.query, PAGE) == (found.name, found.query, found.page)
    assert (False, False, ann.person) == (found.is_shared, found.is_default, found.person)
    assert [] == await ben.names()


async def test_what_is_shared_is_found_in_that_console_alone(sit, world):
    """A shared filter is everybody's where it was shared, and nobody's elsewhere."""
    ann, ben = await sit("ann@north.example"), await sit("ben@north.example")
    south = await sit("sue@south.example", merchant=new_id(world.clock.now()))
    head = await sit("op@rail.example", Role.OPERATOR_ADMIN)
    await ann.save(ann.filter("Shared", is_shared=True), ann.filter("Own"))
    query = FilterQuery(south.person, ann.merchant, PAGE)
    [peeked] = await south.identity.list_filters([query])

    assert (["Own", "Shared"], ["Shared"]) == (await ann.names(), await ben.names())
    assert ([], [], []) == (await south.names(), await head.names(), peeked)


async def test_only_its_person_or_who_staffs_changes_a_filter(sit):
    """Others may neither rename nor delete it; an owner may, once it is shared."""
    ann, ben = await sit("ann@north.example"), await sit("ben@north.example")
    owner = await sit("owner@north.example", Role.OWNER)
    paid = ann.filter(is_shared=True)
    own = ann.filter("Own")
    await ann.save(paid, own)
    refused = [await ben.change(paid, "Mine"), await ben.drop(paid), await owner.drop(own)]
    allowed = [await owner.change(paid, "Paid orders", is_shared=True), await ann.drop(own)]

    assert [FilterStatus.NOT_FOUND] * 3 == refused
    assert [FilterStatus.DONE] * 2 == allowed
    assert ["Paid orders"] == await ben.names()


async def test_a_list_opens_by_one_filter_of_each_person(sit):
    """Choosing another takes the first one's place; what is no more shared opens nothing."""
    ann, ben = await sit("ann@north.example"), await sit("ben@north.example")
    first, second = ann.filter("A", is_shared=True, is_default=True), ann.filter("B")
    await ann.save(first, second)
    statuses = [await ben.open_by(first), await ben.open_by(second), await ann.open_by(second)]
    before = await ann.names(), await ben.names()
    await ann.open_by(second, is_on=False)
    await ann.change(first, "A")

    assert [FilterStatus.DONE, FilterStatus.NOT_FOUND, FilterStatus.DONE] == statuses
    assert (["A", "B*"], ["A*"]) == before
    assert (["A", "B"], []) == (await ann.names(), await ben.names())
    await ann.change(first, "A", is_shared=True)
    assert ["A"] == await ben.names()


@pytest.mark.parametrize(
    "more, status",
    [
        ({"name": "  "}, FilterStatus.NAME_MALFORMED),
        ({"name": "x" * 61}, FilterStatus.NAME_MALFORMED),
        ({"name": "a\x07b"}, FilterStatus.NAME_MALFORMED),
        ({"query": {}}, FilterStatus.QUERY_MALFORMED),
        ({"query": {"state": ""}}, FilterStatus.QUERY_MALFORMED),
        ({"query": {"state": "x" * 255}}, FilterStatus.QUERY_MALFORMED),
        ({"query": {"State!": "x"}}, FilterStatus.QUERY_MALFORMED),
        ({"query": {f"f{'abcdefghijklm'[n]}": "x" for n in range(13)}}, "query_malformed"),
        ({"page": "//evil.example"}, FilterStatus.QUERY_MALFORMED),
        ({"page": "https://evil.example"}, FilterStatus.QUERY_MALFORMED),
        ({"page": "/merchant/orders?x=1"}, FilterStatus.QUERY_MALFORMED),
        ({"merchant": None}, FilterStatus.NOT_ALLOWED),
    ],
)
async def test_what_is_no_filter_is_not_kept(sit, more, status):
    """A name that cannot be read, a query that asks nothing, a page elsewhere: each says why."""
    ann = await sit("ann@north.example")

    assert [status] == await ann.save(ann.filter(**more))
    assert [] == await ann.names("")


async def test_names_are_unique_for_a_list_and_filters_bounded(sit):
    """The same name twice for one list is refused, as is one filter more than there may be."""
    ann, ben = await sit("ann@north.example"), await sit("ben@north.example")
    twice = await ann.save(ann.filter("Paid"), ann.filter("PAID"))
    elsewhere = await ann.save(ann.filter("Paid", page="/merchant/disputes"))
    others = await ben.save(ben.filter("Paid"))
    many = await ann.save(*(ann.filter(f"Filter {n}") for n in range(FILTERS_MAX)))
    [[renamed, *_]] = await ann.identity.list_filters([FilterQuery(ann.person, ann.merchant, PAGE)])

    assert [FilterStatus.DONE, FilterStatus.NAME_TAKEN] == twice
    assert [FilterStatus.DONE] == elsewhere == others
    assert [FilterStatus.DONE] * (FILTERS_MAX - 1) + [FilterStatus.FULL] == many
    assert FilterStatus.NAME_TAKEN == await ann.change(renamed, "pAid")


async def test_whoever_leaves_sees_no_more_of_it(sit, world):
    """Who no longer works somewhere finds nothing there, saves nothing and changes nothing."""
    owner = await sit("owner@north.example", Role.OWNER)
    ann = await sit("ann@north.example")
    paid = ann.filter(is_shared=True)
    await ann.save(paid)
    by = world.actor(await world.session((await world.sign_in("owner@north.example")).token))
    await world.identity.change_members([MemberChange(ann.person, world.merchant, None, by)])

    assert [FilterStatus.NOT_ALLOWED] == await ann.save(ann.filter("More"))
    assert FilterStatus.NOT_FOUND == await ann.change(paid, "Other")
    assert ([], ["Paid"]) == (await ann.names(), await owner.names())
