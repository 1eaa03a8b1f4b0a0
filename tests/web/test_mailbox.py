"""The mailbox page: letters are shown and run nothing; where `serve` serves, it is not there."""

from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest

from vendrail.app.demo.site import create_app
from vendrail.app.serving import Application
from vendrail.app.serving import create_app as create_served
from vendrail.notify import letters

ID = UUID("01a2076b-4400-7000-8c3a-000000000001")


@pytest.fixture
def home(tmp_path, monkeypatch, platform_url):
    """A home folder with one letter in its mailbox."""
    monkeypatch.setenv("VENDRAIL_HOME", str(tmp_path))
    monkeypatch.setenv("VENDRAIL_DATABASE_URL", platform_url)
    mail = letters.write(
        ID,
        "reset",
        "en",
        {"link": "https://keys.example/<script>", "minutes": "10"},
        recipient="a@example.com",
        sender="Keys <no-reply@keys.example>",
        site_name="Keys",
        at=datetime(2026, 11, 23, tzinfo=UTC),
    )
    (tmp_path / "mailbox").mkdir()
    (tmp_path / "mailbox" / f"{ID}.eml").write_bytes(mail.as_bytes())
    (tmp_path / "secret.eml").write_text("To: x\n\nnobody's business")
    return tmp_path


async def ask(application: Application, *paths: str):
    """Ask one site for pages."""
    await application.start()
    try:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return [await client.get(path) for path in paths]
    finally:
        await application.stop()


async def test_letters_are_listed_and_read(home):
    """The list names each letter; a letter is shown as text, and as a page in a sealed frame."""
    listed, letter, text, page = await ask(
        create_app(), "/mailbox", f"/mailbox/{ID}", f"/mailbox/{ID}?text", f"/mailbox/{ID}/page"
    )

    assert f"/mailbox/{ID}" in listed.text
    assert "a@example.com" in listed.text
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in letter.text
    assert "&lt;script&gt;" in text.text
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-popups" in policy
    assert "script" not in policy
    assert "SAMEORIGIN" == page.headers["x-frame-options"]
    assert "<script" not in page.text


@pytest.mark.parametrize(
    "path", ["/mailbox/nothing", f"/mailbox/{UUID(int=7)}", "/mailbox/..%2Fsecret", "/mailbox/%00"]
)
async def test_only_letters_can_be_read(home, path):
    """What is no letter of the folder is not there, whatever its name."""
    [shown, page] = await ask(create_app(), path, f"{path}/page")

    assert (404, 404) == (shown.status_code, page.status_code)
    assert "business" not in shown.text + page.text


async def test_what_is_served_has_no_mailbox(home):
    """`vendrail serve` knows no such page, whatever the folder holds."""
    answers = await ask(create_served(), "/mailbox", f"/mailbox/{ID}", f"/mailbox/{ID}/page")

    assert [404] * 3 == [answer.status_code for answer in answers]
