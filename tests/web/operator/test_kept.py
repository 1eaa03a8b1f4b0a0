"""Files that came too late: what was typed beside one is there again, the file is chosen anew."""

import re
from html import unescape

from tests.web.console.test_refill import confirm

from vendrail.api.identity import Role


async def test_a_file_sent_too_late_is_chosen_again(world):
    """The reason is as it was typed and the page asks for the file; nothing was put up."""
    head = await world.join("fin@rail.example", Role.OPERATOR_FINANCE)
    path = "/operator/remittances"
    await head.go(path)
    token = unescape(re.search(r'file\?form_token=([^"]+)"', head.page.text)[1])
    world.clock.advance(31 * 60)
    head.page = await head.http.post(
        f"{path}/file?form_token={token}",
        data={"reason": "Statement of Tuesday"},
        files={"file": ("s.csv", b"channel,number\n" * 20_000)},
        headers={"referer": str(head.page.url)},
        follow_redirects=True,
    )
    await confirm(head)

    assert path == head.path
    assert "press once more. Choose the file again." in head.text
    assert ">\nStatement of Tuesday</textarea>" in head.page.text
    assert 1 == head.page.text.count("Statement of Tuesday")
    assert "s.csv" not in head.page.text


async def test_secrets_of_a_channel_are_typed_again(world):
    """A channel's name and title are there again, its keys are not, and the page says so."""
    head = await world.join("ad@rail.example", Role.OPERATOR_ADMIN)
    path = "/operator/channels/new"
    await head.go(f"{path}?kind=alipay")
    named = unescape(re.search(r'name="typed_again" value="([^"]*)"', head.page.text)[1])
    typed = dict.fromkeys(named.split(), "KEPT-FROM-ALL")
    world.clock.advance(31 * 60)
    await head.send(
        path, name="second", title="Alipay two", s_app_id="2021", typed_again=named, **typed
    )
    await confirm(head)

    assert typed
    assert "Type what is secret again." in head.text
    assert 'value="Alipay two"' in head.page.text
    assert "KEPT-FROM-ALL" not in head.page.text
