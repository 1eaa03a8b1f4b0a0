"""Seeding: what is missing is put there; what is there, also what a person has changed, stays."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from uuid import UUID

from vendrail.api.catalog import (
    Catalog,
    DeliveryKind,
    KeyIntake,
    KeyLine,
    PutStatus,
)
from vendrail.api.identity import Identity, Merchant
from vendrail.api.settlement import Settlement
from vendrail.api.wallets import Wallets, WalletTerms
from vendrail.app.demo import book, codes, covers
from vendrail.app.demo.market import KEYS_PER_VARIANT, PICTURES, Goods, Market, read_market
from vendrail.app.wiring import House
from vendrail.kernel.errors import Broken, Malformed
from vendrail.kernel.ids import derive, new_id

_DOWNLOADS = "demo"
_INTAKES = 8  # Variants whose keys are taken in by one call.
_DONE = (PutStatus.CREATED, PutStatus.CHANGED, PutStatus.UNCHANGED)


async def seed(house: House, *, is_known: bool) -> int:
    """Fill the house with the demo's marketplace; give how many keys were taken in.

    Args:
        house: Where it is put.
        is_known: Whether the demo has been here before; else other shops mean a stranger's data.

    Raises:
        Malformed: The database belongs to a marketplace that the demo did not make.
    """
    catalog: Catalog = house.api(Catalog)
    market = read_market()
    write_pictures(house.platform.home / "media")
    wallets: Wallets = house.api(Wallets)
    is_new = await _put_shops(catalog, house.api(Settlement), market, is_known=is_known)
    identity: Identity = house.api(Identity)
    await _put_merchants(identity, market)
    await _put_wallets(wallets, market.wallets)
    await _put_products(catalog, market.goods)
    await _put_contents(catalog, house.platform.home / "files", market.goods)
    keys = await _put_keys(catalog, house, market.goods)
    if is_new and not keys:
        raise Broken("The demo's shops are new, and still their keys were there. Use --fresh.")
    return keys


async def _put_shops(
    catalog: Catalog, settlement: Settlement, market: Market, *, is_known: bool
) -> bool:
    """Put the shops that are missing, terms before them; give whether all were."""
    known = await catalog.read_shops([shop.slug for shop in market.shops])
    missing = [shop for shop, found in zip(market.shops, known, strict=True) if found is None]
    if len(missing) == len(market.shops) and not is_known and await catalog.read_shops([]):
        raise Malformed(
            "This database holds a marketplace that the demo did not make; it was left as it is."
            " Give the demo a folder of its own (--home) or another VENDRAIL_DATABASE_URL."
        )
    owners = {shop.merchant for shop in missing}
    await settlement.put_fee_terms([each for each in market.terms if each.merchant in owners])
    _check(await catalog.put_shops(missing), [shop.slug for shop in missing])
    return len(missing) == len(market.shops)


async def _put_merchants(identity: Identity, market: Market) -> None:
    """Name the merchants that identity does not know: a closed shop tells nobody whose it is."""
    known = {each.id for each in await identity.list_merchants(10_000, None)}
    named = {shop.merchant: shop.merchant_name for shop in market.shops}
    await identity.put_merchants(
        [Merchant(id, name) for id, name in named.items() if id not in known]
    )


async def _put_wallets(wallets: Wallets, terms: Sequence[WalletTerms]) -> None:
    """Switch wallets on, in each currency for which nobody has said anything yet."""
    said = {each.currency for each in await wallets.list_wallet_terms()}
    await wallets.put_wallet_terms([each for each in terms if each.currency not in said])


async def _put_products(catalog: Catalog, goods: Sequence[Goods]) -> None:
    """Put the products that were never there: one that was removed stays removed."""
    found = await catalog.read_products([each.product.id for each in goods])
    absent = [each.product for each, view in zip(goods, found, strict=True) if view is None]
    counts = await catalog.count_stock([product.variants[0].sku for product in absent])
    missing = [p for p, count in zip(absent, counts, strict=True) if count is None]
    _check(await catalog.put_products(missing), [product.slug for product in missing])


async def _put_contents(catalog: Catalog, files: Path, goods: Iterable[Goods]) -> None:
    """Give texts, reusable keys and files to what delivers them, where nothing was given yet."""
    endless = [each for each in goods if each.product.delivery is not DeliveryKind.UNIQUE_KEY]
    views = await catalog.read_products([each.product.id for each in endless])
    contents = []
    for each, view in zip(endless, views, strict=True):
        text = each.content
        if each.product.delivery is DeliveryKind.FILE:
            text = write_book(files)
        if view is not None:
            contents += [(sku, text) for sku, left in view.stock.items() if left == 0]
    _check(await catalog.put_contents(contents), [sku for sku, _ in contents])


async def _put_keys(catalog: Catalog, house: House, goods: Iterable[Goods]) -> int:
    """Take in keys for each variant that never had any; give how many."""
    forms = {
        variant.sku: each.form for each in goods if each.form for variant in each.product.variants
    }
    skus = list(forms)
    counts = await catalog.count_stock(skus)
    bare = [
        sku
        for sku, count in zip(skus, counts, strict=True)
        if count and not count.free + count.held + count.allocated + count.sold + count.void
    ]
    batch = new_id(house.clock.now())
    taken = 0
    for begin in range(0, len(bare), _INTAKES):
        results = await catalog.add_keys(
            [_intake(sku, forms[sku], batch) for sku in bare[begin : begin + _INTAKES]]
        )
        taken += sum(result.added_count for result in results)
    return taken


def _intake(sku: str, form: str, batch: UUID) -> KeyIntake:
    keys = codes.make(form, KEYS_PER_VARIANT)
    return KeyIntake(sku, derive(batch, sku), [KeyLine(n, key) for n, key in enumerate(keys, 1)])


def _check(statuses: Sequence[PutStatus], names: Sequence[str]) -> None:
    refused = [f"{n}: {s}" for n, s in zip(names, statuses, strict=True) if s not in _DONE]
    if refused:
        raise Malformed(
            f"The demo's goods were refused ({'; '.join(refused)}): other goods have their names."
            " Give the demo a folder of its own (--home) or another VENDRAIL_DATABASE_URL."
        )


def write_pictures(media: Path) -> None:
    """Draw the covers that are not there yet, or are out of date."""
    folder = media / PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    for slug in covers.COVERS:
        _write(folder / f"{slug}.svg", covers.draw(slug).encode())


def write_book(files: Path) -> str:
    """Write the book where only an order that bought it leads; give its path below files."""
    files.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = f"{_DOWNLOADS}/{book.FILE_NAME}"
    (files / path).parent.mkdir(parents=True, exist_ok=True)
    _write(files / path, book.build())
    return path


def _write(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        path.write_bytes(content)
