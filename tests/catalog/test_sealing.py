"""Keys at rest: a stolen database reveals none, and a row that was tampered with is noticed."""

import pytest

from vendrail.api.catalog import DeliveryKind, KeyState
from vendrail.kernel.db import connect_once
from vendrail.kernel.errors import Broken


async def dump(dsn):
    """Give every row of every table of the catalog as text, with bytes as they are."""
    owner = await connect_once(dsn)
    try:
        tables = await owner.fetch(
            "select quote_ident(tablename) from pg_tables where schemaname = 'catalog'"
        )
        rows = []
        for (table,) in tables:
            found = await owner.fetch(f"select * from catalog.{table}")
            rows += [b"|".join(_bytes_of(value) for value in row.values()) for row in found]
        return b"\n".join(rows)
    finally:
        await owner.close()


def _bytes_of(value):
    return value if isinstance(value, bytes) else str(value).encode()


async def test_no_plaintext_is_at_rest(service, scene, database_url):
    """After intake, sale and delivery no table holds a key or a content in clear."""
    variant = await scene.stock(service, 5)
    await scene.stock(service, 0, "text", delivery=DeliveryKind.TEXT)
    await service.put_contents([("text", "the-secret-content")])
    new = scene.allocation(variant)
    await service.allocate_keys([new])
    assert ["game-first-000001"] == (await service.read_deliveries([new.id]))[0].items

    data = await dump(database_url)

    assert b"The game" in data
    assert b"game-first" not in data
    assert b"secret-content" not in data


async def test_a_key_moved_to_another_row_is_noticed(service, scene, db):
    """Sealed texts or data keys exchanged between rows cannot be opened: they are bound to them."""
    await scene.stock(service, 2)
    swap = """
        update catalog.key k set {column} = o.{column} from catalog.key o
        where k.variant = o.variant and k.id <> o.id
    """
    async with db.reading() as tx:
        await tx.execute(swap.format(column="sealed"))

    with pytest.raises(Broken, match="altered"):
        await service.export_keys("game", KeyState.FREE, None, 10)

    async with db.reading() as tx:
        await tx.execute(swap.format(column="sealed"))
    assert 2 == len(await service.export_keys("game", KeyState.FREE, None, 10))


async def test_another_data_key_does_not_open_a_row(service, scene, db, clock):
    """A row that names another data key, or one that is gone, cannot be opened."""
    await scene.stock(service, 1)
    clock.advance(601)
    await service.add_keys([scene.intake(1, batch="second")])
    async with db.reading() as tx:
        ids = await tx.fetch("select distinct data_key from catalog.key")
        await tx.execute(
            "update catalog.key k set data_key = o.data_key from catalog.key o where k.id <> o.id"
        )

    assert 2 == len(ids)
    with pytest.raises(Broken, match="altered"):
        await service.export_keys("game", KeyState.FREE, None, 10)
    async with db.reading() as tx:
        await tx.execute("update catalog.key set data_key = id")
    with pytest.raises(Broken, match="gone"):
        await service.export_keys("game", KeyState.FREE, None, 10)


async def test_one_data_key_seals_ten_minutes(service, scene, db, clock):
    """Intakes close in time share a data key; a later one has its own."""
    await scene.stock(service, 3)
    await service.add_keys([scene.intake(3, batch="second")])
    clock.advance(601)
    await service.add_keys([scene.intake(3, batch="third")])

    async with db.reading() as tx:
        assert 2 == await tx.fetch_value("select count(*) from catalog.data_key")


async def test_a_new_process_opens_what_another_sealed(make_service, scene):
    """Another service on the same database and vault reads the keys."""
    here, there = make_service(), make_service()
    variant = await scene.stock(here, 1)
    new = scene.allocation(variant)
    await here.allocate_keys([new])

    assert ["game-first-000001"] == (await there.read_deliveries([new.id]))[0].items


async def test_equal_keys_of_two_products_look_different(service, scene, db):
    """The fingerprint is mixed with the product: nobody sees who sells the same key."""
    await scene.stock(service, 0)
    await scene.stock(service, 0, "film")
    intake = scene.intake(1)
    await service.add_keys([intake])
    await service.add_keys([type(intake)("film", intake.batch, intake.lines)])

    async with db.reading() as tx:
        rows = await tx.fetch("select fingerprint from catalog.key")
    assert 2 == len({row[0] for row in rows})
