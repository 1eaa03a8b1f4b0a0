"""A risk service as others meet it, and short questions to put to it."""

import pytest

from vendrail.api.risk import Risk, RiskQuestion, subject_hash
from vendrail.kernel import rpc
from vendrail.kernel.ids import new_id
from vendrail.risk.service import RiskService
from vendrail.risk.settings import RiskSettings


class World:
    """Risk, and who asks it."""

    def __init__(self, clock, vault, risk: Risk, service: RiskService, db) -> None:
        self.clock = clock
        self.vault = vault
        self.risk = risk
        self.service = service
        self.db = db
        self.merchant = new_id(clock.now())

    def question(self, contact="", amount_minor=100, currency="CNY", *, address="", device=""):
        """An order of a buyer, an address and a device, as orders asks about it."""

        def hashed(kind, value):
            return subject_hash(self.vault, kind, value) if value else ""

        return RiskQuestion(
            new_id(self.clock.now()),
            self.merchant,
            amount_minor,
            currency,
            hashed("contact", contact),
            hashed("address", address),
            hashed("device", device),
            contact,
        )

    async def assess(self, *questions: RiskQuestion) -> list[str]:
        """What is answered, decisions only."""
        return [answer.decision for answer in await self.risk.assess_payments(questions)]

    async def screen(self, *questions: RiskQuestion) -> list[str]:
        """What is answered, decisions only."""
        return [answer.decision for answer in await self.risk.screen_orders(questions)]


@pytest.fixture(params=["local", "remote"])
async def world(request, make_database, clock, vault) -> World:
    """The object itself, then over the wire."""
    db = await make_database("risk")
    service = RiskService(db, vault, clock, RiskSettings())
    risk = rpc.loopback(Risk, service) if request.param == "remote" else service
    return World(clock, vault, risk, service, db)
