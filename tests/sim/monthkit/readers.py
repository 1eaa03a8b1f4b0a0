"""Merchants' people who read letters by Telegram: they link chats, block the bot, and come back."""

import asyncio
import random
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from simkit.actors import Violation

from monthkit.asking import Asking
from monthkit.hearers import Telegram
from monthkit.market import Merchant
from vendrail.api.identity import Actor, ActorKind, Identity, Invitation, LinkUse, Role
from vendrail.api.notify import (
    TELEGRAM_KINDS,
    ChatAsk,
    ChatState,
    LetterPreferences,
    LetterWay,
    Notify,
)
from vendrail.kernel.ids import new_id

_WHO = (1, 3, 5, 6, 7, 8, 24)  # Whose people, by merchants' numbers.
_PATIENCE_TICKS = 8
_ABOUT = re.compile(r"/(?:complaints|disputes|orders)/[0-9A-Z]{26}")
_CLI = Actor(ActorKind.COMMAND_LINE, None, "root (command line)")


@dataclass
class Reader:
    """Somebody with a telephone."""

    person: int
    address: str
    wants: ChatState = ChatState.OPEN
    waits: int = 0  # For so many ticks the chat has not been as they want it.
    is_linked: bool = False  # When it was looked at last.


class Readers:
    """All of them, and the trouble that Telegram has."""

    def __init__(
        self, seed: int, asking: Asking, telegram: Telegram, market: list[Merchant]
    ) -> None:
        self._seed = seed
        self._asking = asking
        self._telegram = telegram
        self._merchants = [each for each in market if each.number in _WHO]
        self.readers: list[Reader] = []

    async def open(self) -> None:
        """Let each of them join their merchant, and say by which way they want letters."""
        for merchant in self._merchants:
            reader = Reader(1_000 + merchant.number, f"keeper{merchant.number}@example.com")
            new = Invitation(
                new_id(self._asking.now()), reader.address, merchant.id, Role.OWNER, _CLI,
                merchant_name=f"merchant {merchant.number}",
            )  # fmt: skip
            [invited] = await self._asking.ask(Identity, "invite_people", [new])
            use = LinkUse(invited.token, "a quiet lake at dawn", "Ann", "en")
            await self._asking.ask(Identity, "use_links", [use])
            if merchant.number % 2:
                ways = {each: LetterWay.TELEGRAM for each in TELEGRAM_KINDS if each != "security"}
                wish = LetterPreferences(reader.address, ways=ways)
                [status] = await self._asking.ask(Notify, "put_preferences", [wish])
                self._asking.check("ways of letters", status, {"changed"}, merchant.number)
            self.readers.append(reader)

    async def act(self, day: int, slot: int) -> None:
        """Let some link a chat or leave it, and Telegram have trouble."""
        await self._see()
        dice = random.Random(f"readers {self._seed} {day} {slot}")
        for reader in self.readers:
            if reader.wants is ChatState.LINKED and dice.random() < 0.03:
                await self._leave(reader, dice.choice(("block", "stop", "here")))
            elif reader.wants is ChatState.OPEN and not reader.waits and dice.random() < 0.4:
                reader.wants = ChatState.LINKED
                await self._link(reader)
        self._telegram.forgive()
        trouble = dice.random()
        if trouble < 0.1:
            self._telegram.fault(kind="lose_after")
            self._asking.tally["act: Telegram's answer lost"] += 1
        elif trouble < 0.2:
            self._telegram.fault(code=502, description="Bad Gateway", times=200)
            self._asking.tally["act: Telegram away"] += 1
        elif trouble < 0.25:
            self._telegram.fault(code=429, description="Too Many Requests", retry_after=120)
            self._asking.tally["act: Telegram flooded"] += 1
        elif trouble < 0.3:
            self._telegram.fault(kind="lose_before", method="getUpdates", times=3)
            self._asking.tally["act: Telegram's news lost"] += 1

    async def rest(self) -> None:
        """Let Telegram be as it should."""
        self._telegram.forgive()

    async def _link(self, reader: Reader) -> None:
        """Ask for a link and press Start."""
        [ticket] = await self._asking.ask(Notify, "open_chats", [ChatAsk(reader.address, "en")])
        self._asking.check("chat asked for", ticket.status, {"opened", "away"}, reader.person)
        if ticket.link:
            [text] = parse_qs(urlsplit(ticket.link).query)["start"]
            await asyncio.to_thread(self._telegram.do, reader.person, f"/start {text}")

    async def _leave(self, reader: Reader, how: str) -> None:
        """Block the bot, tell it to stop, or end it at the console."""
        reader.wants = ChatState.OPEN
        if how == "here":
            [status] = await self._asking.ask(Notify, "end_chats", [reader.address])
            self._asking.check("chat ended", status, {"ended", "not_linked"}, reader.person)
        elif how == "block":
            await asyncio.to_thread(self._telegram.do, reader.person, deed="block")
        else:
            await asyncio.to_thread(self._telegram.do, reader.person, "/stop")
        self._asking.tally[f"act: chat left by {how}"] += 1

    async def _see(self) -> None:
        """Look whether each chat is as its reader wants it, in time."""
        addresses = [each.address for each in self.readers]
        views = await self._asking.ask(Notify, "read_chats", addresses)
        for reader, view in zip(self.readers, views, strict=True):
            is_linked = view.state is ChatState.LINKED
            self._asking.tally["chats linked"] += is_linked and not reader.is_linked
            reader.is_linked = is_linked
            if is_linked == (reader.wants is ChatState.LINKED):
                reader.waits = 0
                continue
            reader.waits += 1
            if reader.waits > _PATIENCE_TICKS:
                raise Violation(f"The chat of {reader} is {view.state}.")
            if reader.waits > 1 and not is_linked:
                await self._link(reader)  # What was asked for may have come too late.

    def count(self) -> int:
        """Count the letters that came to their chats; none about one thing came twice."""
        count = 0
        for reader in self.readers:
            letters = self._telegram.letters(reader.person)
            # An agency that ends again, or a debt of the same amount, is told in the same words.
            twice = {each for each in letters if letters.count(each) > 1 and _ABOUT.search(each)}
            if twice:
                raise Violation(f"{reader} was told twice: {list(twice)[:3]}")
            count += len(letters)
        return count
