"""A house with a merchant who says who they are, and short words for what people make of it."""

import pytest
from tests.compliance.papers import FIELDS, PICTURE
from tests.orders.conftest import open_market

from vendrail.api.compliance import (
    CHECKS,
    PERSON,
    AddDocument,
    Compliance,
    DossierDecision,
    DossierId,
    DossierVerdict,
    SaveDossier,
    SubmitDossier,
    TermsChange,
    TierBound,
)
from vendrail.kernel.config import PlatformSettings
from vendrail.kernel.ids import new_id


class Office:
    """The market, its compliance, and short words."""

    def __init__(self, market) -> None:
        self.market, self.clock = market, market.clock
        self.compliance: Compliance = market.house.api(Compliance)
        self.service = market.house.services["compliance"]

    def id(self):
        """Make an id of now."""
        return DossierId(new_id(self.clock.now()))

    async def ask(self, *bounds, is_asked=True):
        """Ask all merchants, and let tiers sell so much a month."""
        [newest] = await self.compliance.list_terms(1)
        change = TermsChange(
            newest.version,
            is_asked,
            "CNY",
            [TierBound(None, each) for each in (*bounds, None, None, None)[:3]],
            "op",
            "why",
        )
        [status] = await self.compliance.change_terms([change])
        self.clock.advance(31)  # What orders knew of it is over.
        return status

    async def draft(self, tier=PERSON, merchant=None, **fields):
        """Write a dossier whole, with documents; give its id."""
        id, merchant = self.id(), merchant or self.market.merchant
        new = SaveDossier(id, merchant, tier, "CN", {**FIELDS[tier], **fields})
        assert ["saved"] == await self.compliance.save_dossiers([new])
        for kind in ("identity", "register_extract")[:tier]:
            assert ["added"] == await self.add(id, kind, merchant=merchant)
        return id

    async def add(self, dossier, kind="identity", content=PICTURE, merchant=None):
        """Add a document."""
        return await self.compliance.add_documents(
            [AddDocument(self.id(), dossier, merchant or self.market.merchant, kind, content)]
        )

    async def read(self, dossier):
        """Read a dossier as the operator."""
        [view] = await self.compliance.read_dossiers([(dossier, None)])
        return view

    async def submit(self, dossier, merchant=None):
        """Hand it in as it is."""
        version = (await self.read(dossier)).version
        asked = SubmitDossier(dossier, merchant or self.market.merchant, version)
        [result] = await self.compliance.submit_dossiers([asked])
        return result

    async def decide(self, dossier, decision, **more):
        """Decide it as it is."""
        view = await self.read(dossier)
        if decision is DossierDecision.ACCEPT:
            more = {"checks": list(CHECKS[view.tier])} | more
        else:
            more = {"reasons": ["other"], "note": "Something is odd."} | more
        verdict = DossierVerdict(dossier, view.version, decision, "op", **more)
        return (await self.compliance.decide_dossiers([verdict]))[0]

    async def accept(self, tier=PERSON, **more):
        """Let a merchant be verified, all at once."""
        dossier = await self.draft(tier)
        assert "submitted" == (await self.submit(dossier)).status
        assert "decided" == await self.decide(dossier, DossierDecision.ACCEPT, **more)
        return dossier

    async def tier(self):
        """Say which tier the merchant is in."""
        [standing] = await self.compliance.read_standings([self.market.merchant])
        return standing.tier


@pytest.fixture
async def office(platform_url, clock, vault, tmp_path):
    """A house over a fresh database."""
    platform = PlatformSettings(home=tmp_path, database_url=platform_url)
    async with open_market(platform, clock, vault) as market:
        yield Office(market)
