"""How large a file may be is said by browsers as the rooms behind the forms have it."""

import re
from pathlib import Path

import vendrail.web
from vendrail.compliance import decide as compliance
from vendrail.disputes import decide as disputes
from vendrail.support import decide as support
from vendrail.web.merchant import pictures

TEMPLATES = Path(vendrail.web.__file__).with_name("templates")


def test_a_field_refuses_no_file_that_is_taken_and_lets_none_through_that_is_not():
    """What a browser says of a file's size is what the room behind the form says of it."""
    bounds = {
        "parts/talk_forms.html": support.ATTACHMENT_BYTES_MAX,
        "parts/dispute.html": disputes.FILE_BYTES_MAX,
        "merchant/verification.html": compliance.DOCUMENT_BYTES_MAX,
        "merchant/shop.html": pictures._BYTES_MAX,
        "merchant/product.html": pictures._BYTES_MAX,
    }
    said = {
        str(path.relative_to(TEMPLATES)): {int(each) for each in found}
        for path in TEMPLATES.rglob("*.html")
        if (found := re.findall(r'data-bytes-max="(\d+)"', path.read_text("utf-8")))
    }

    assert bounds.keys() == said.keys()
    for name, bound in bounds.items():
        assert all(0.99 * bound < each <= bound for each in said[name]), name
