"""Readers: what each of them wants, and links by which they switch one kind of letters off."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from vendrail.api.notify import (
    OPTIONAL_LETTERS,
    LetterPreferences,
    LetterStop,
    LetterWay,
    PreferencesStatus,
    StopStatus,
)
from vendrail.kernel.vault import Vault, is_same
from vendrail.notify import wishes
from vendrail.notify.service.room import Means, Room
from vendrail.notify.store import readers as store
from vendrail.notify.wishes import HASH_BYTES, Link, Wishes

_ADDRESS, _LINK = "notify.reader", "notify.stop"
_PATH = "/letters/off/"


class Readers(Room):
    """Keeps what readers want, under keyed hashes of their addresses."""

    def __init__(self, means: Means, vault: Vault) -> None:
        super().__init__(means)
        self._vault = vault

    def hash(self, address: str) -> bytes:
        """Give the keyed hash that a reader is known by."""
        return self._vault.keyed_hash(_ADDRESS, address.strip().lower().encode())[:HASH_BYTES]

    async def put(self, wanted: LetterPreferences) -> PreferencesStatus:
        """Write what one reader wants."""
        fault = wishes.fault(wanted)
        if fault is not None:
            return fault
        reader, now = self.hash(wanted.address), self._clock.now()
        new = Wishes(
            frozenset(wanted.unwanted),
            wanted.quiet_from,
            wanted.quiet_until,
            wanted.zone,
            {kind: way for kind, way in wanted.ways.items() if way is not LetterWay.BOTH},
        )
        async with self._db.transaction() as tx:
            await store.hold(tx, reader)
            before = (await store.load(tx, [reader])).get(reader, wishes.NONE)
            if before == new:
                return PreferencesStatus.UNCHANGED
            await store.put_reader(tx, reader, new)
            for template in before.unwanted ^ new.unwanted:
                await store.put_wish(
                    tx, reader, template, now, is_wanted=template not in new.unwanted
                )
        return PreferencesStatus.CHANGED

    async def read(self, addresses: Sequence[str]) -> list[LetterPreferences]:
        """Give what readers want."""
        found = await self.load(addresses)
        return [
            LetterPreferences(
                address,
                [each for each in OPTIONAL_LETTERS if each in found[address].unwanted],
                found[address].quiet_from,
                found[address].quiet_until,
                found[address].zone,
                dict(found[address].ways),
            )
            for address in addresses
        ]

    async def load(self, addresses: Collection[str]) -> Mapping[str, Wishes]:
        """Give what readers want, by address."""
        hashes = {address: self.hash(address) for address in addresses}
        async with self._db.reading() as tx:
            found = await store.load(tx, list(hashes.values()))
        return {address: found.get(hash, wishes.NONE) for address, hash in hashes.items()}

    def link(self, address: str, template: str, at: datetime) -> str:
        """Give the link that switches a kind off for a reader; empty: it cannot be."""
        if template not in OPTIONAL_LETTERS:
            return ""
        link = Link(self.hash(address), at, template)
        text = wishes.write_link(link, self._mac(link))
        return f"{self._settings.public_url.rstrip('/')}{_PATH}{text}"

    def _mac(self, link: Link) -> bytes:
        return self._vault.keyed_hash(_LINK, wishes.signed(link))[:HASH_BYTES]

    def _read(self, text: str) -> Link | None:
        found = wishes.read_link(text[:200])
        if found is None:
            return None
        link, mac = found
        return link if is_same(mac, self._mac(link)) else None

    async def look(self, text: str) -> LetterStop:
        """Say what a link would switch off."""
        link = self._read(text)
        if link is None:
            return LetterStop(StopStatus.LINK_MALFORMED)
        async with self._db.reading() as tx:
            wish = await store.load_wish(tx, link.reader, link.template)
        return LetterStop(_standing(link, wish), link.template)

    async def stop(self, text: str) -> LetterStop:
        """Switch off the one kind that a link is of."""
        link = self._read(text)
        if link is None:
            return LetterStop(StopStatus.LINK_MALFORMED)
        async with self._db.transaction() as tx:
            await store.hold(tx, link.reader)
            status = _standing(link, await store.load_wish(tx, link.reader, link.template))
            if status is StopStatus.OPEN:
                now = self._clock.now()
                await store.put_wish(tx, link.reader, link.template, now, is_wanted=False)
                status = StopStatus.STOPPED
        return LetterStop(status, link.template)


def _standing(link: Link, wish: tuple[bool, datetime] | None) -> StopStatus:
    """Say what a link is good for; who has switched a kind on again has the last word."""
    if wish is None:
        return StopStatus.OPEN
    is_wanted, at = wish
    if not is_wanted:
        return StopStatus.STOPPED
    return StopStatus.OPEN if link.at > at else StopStatus.OVERTAKEN
