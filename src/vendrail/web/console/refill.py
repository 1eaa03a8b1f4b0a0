"""A form that was kept, put back into its page: filled with what was typed, and a word above it."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

TYPED_AGAIN = "typed_again"  # The field in which a page names those of its fields that are secret.
_SECRET = re.compile(
    r"password|secret|private|credential|^(again|before|after|code|pasted|content)$"
)
_PLAIN = frozenset(
    [
        "",
        "text",
        "email",
        "url",
        "number",
        "search",
        "tel",
        "date",
        "datetime-local",
        "month",
        "time",
        "week",
        "range",
        "color",
    ]
)
_NEVER_TYPED = frozenset([TYPED_AGAIN, "nonce", "do", "rules"])
# Hidden fields that are others each time a page is written, and do not say what a form is about.
_CHANGING = _NEVER_TYPED | {
    "form_token",
    "seen",
    "standing",
    "known",
    "version",
    "terms_version",
    "rules_version",
    "basis_points",
}
_NOTE = (
    '<p class="note note-warning col-span-full mb-4 w-full font-medium" id="kept" role="alert"'
    ' tabindex="-1" autofocus>{}</p>'
)
_LOST = '<div class="note note-warning mb-4" id="kept" role="alert">{}<dl>{}</dl></div>'

Edit = tuple[int, int, str]  # From, up to, and what comes in its place.


@dataclass
class _Field:
    """A field of a form, and where it is written."""

    tag: str
    attributes: dict[str, str | None]
    start: int
    end: int
    text_end: int = 0  # Of a text area: where its text ends.
    options: list["_Field"] = field(default_factory=list)
    text: str = ""  # Of an option.

    @property
    def name(self) -> str:
        return self.attributes.get("name") or ""

    @property
    def kind(self) -> str:
        return (self.attributes.get("type") or "").lower() if self.tag == "input" else self.tag

    @property
    def value(self) -> str:
        """Give the value that it stands for: of an option without one, its text."""
        value = self.attributes.get("value")
        if value is None:
            return self.text.strip() if self.tag == "option" else ""
        return value


@dataclass
class _Form:
    """A form of the page."""

    attributes: dict[str, str | None]
    end: int  # Of its opening tag.
    around: list[int]  # Ends of the opening tags of what is folded around it.
    addresses: set[str]
    fields: list[_Field] = field(default_factory=list)


def without_secrets(form: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """Give a form without what nobody is to keep, and whether something of that was typed."""
    named = {"form_token", TYPED_AGAIN, *form.get(TYPED_AGAIN, "").split()}
    kept = {
        name: value
        for name, value in form.items()
        if name not in named and not _SECRET.search(name)
    }
    is_less = any(form[name] for name in form.keys() - kept.keys() - {"form_token", TYPED_AGAIN})
    return kept, is_less


def fill(page: str, address: str, fields: Mapping[str, str], word: str, lost: str = "") -> str:
    """Fill the form of a page that is sent to an address.

    On a page that has it no more, `lost` is said above what was typed; empty: nothing is.
    """
    reader = _Reader(page)
    reader.feed(page)
    reader.close()
    sent_to = urlsplit(address).path
    forms = [e for e in reader.forms if sent_to in e.addresses and _is_of(e, fields)]
    if not forms:
        return _told(page, fields, lost) if lost else page
    form = max(forms, key=lambda each: _fit(each, fields))
    edits: list[Edit] = [(form.end, form.end, _NOTE.format(html.escape(word)))]
    edits += [(end - 1, end, " open>") for end in form.around]
    for each in form.fields:
        edits += _edits(each, fields)
    for start, end, text in sorted(edits, reverse=True):
        page = page[:start] + text + page[end:]
    return page


def _told(page: str, fields: Mapping[str, str], lost: str) -> str:
    """Write what was typed at the top of a page: the form that it was typed into is gone."""
    typed = "".join(
        f'<dt class="quiet mt-2 text-xs">{html.escape(name)}</dt>'
        f'<dd class="break-words whitespace-pre-line">{html.escape(value)}</dd>'
        for name, value in fields.items()
        if value and name not in _NEVER_TYPED
    )
    note = _LOST.format(html.escape(lost), typed)
    return re.sub(r"<main\b[^>]*>", lambda found: found[0] + note, page, count=1)


def _is_of(form: _Form, fields: Mapping[str, str]) -> bool:
    """Whether a form is about what was sent: the row of another payee, say, is another's."""
    about: dict[str, set[str]] = {}
    for each in form.fields:
        if each.kind == "hidden" and each.value and each.name not in _CHANGING:
            about.setdefault(each.name, set()).add(each.value)
    typed = {each.name for each in form.fields if each.kind != "hidden"}
    return all(
        fields[name] in values
        for name, values in about.items()
        if name in fields and name not in typed
    )


def _fit(form: _Form, fields: Mapping[str, str]) -> tuple[int, int]:
    """Say how well a form fits what was sent: what it names beside the fields is as it was."""
    hidden = [each for each in form.fields if each.kind == "hidden" and each.name in fields]
    same = sum(1 if each.value == fields[each.name] else -1 for each in hidden)
    return len({each.name for each in form.fields} & fields.keys()), same


def _edits(each: _Field, fields: Mapping[str, str]) -> list[Edit]:
    """Give what is to be written anew so that a field holds what was typed."""
    if each.kind in ("checkbox", "radio"):
        is_on = fields.get(each.name) == (each.attributes.get("value") or "on")
        return [_rewritten(each, "checked", None, is_set=is_on)]
    if each.name not in fields:
        return []
    typed = fields[each.name]
    if each.kind == "textarea":
        return [(each.end, each.text_end, "\n" + html.escape(typed, quote=False))]
    if each.kind == "select":
        if typed not in [option.value for option in each.options]:
            return []
        return [
            _rewritten(option, "selected", None, is_set=option.value == typed)
            for option in each.options
        ]
    if each.kind in _PLAIN:
        return [_rewritten(each, "value", typed, is_set=True)]
    return []


def _rewritten(each: _Field, name: str, value: str | None, *, is_set: bool) -> Edit:
    told = {key: kept for key, kept in each.attributes.items() if key != name}
    if is_set:
        told[name] = value
    written = "".join(
        f" {key}" if kept is None else f' {key}="{html.escape(kept)}"' for key, kept in told.items()
    )
    return each.start, each.end, f"<{each.tag}{written}>"


class _Reader(HTMLParser):
    """Finds the forms of a page with their fields, and where each is written."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[_Form] = []
        self._lines = [0]
        for line in page.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self._form: _Form | None = None
        self._folded: list[int | None] = []
        self._field: _Field | None = None
        self._option: _Field | None = None

    def _here(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the beginning of a form, of a field, or of what is folded around them."""
        start, attributes = self._here(), dict(attrs)
        end = start + len(self.get_starttag_text() or "")
        if tag == "details":
            self._folded.append(None if "open" in attributes else end)
        elif tag == "form":
            folded = [each for each in self._folded if each is not None]
            self._form = _Form(attributes, end, folded, {_path(attributes.get("action"))})
            self.forms.append(self._form)
        elif tag == "button" and attributes.get("formaction"):
            found = self._owner(attributes)
            if found is not None:
                found.addresses.add(_path(attributes["formaction"]))
        elif tag in ("input", "textarea", "select"):
            found = self._owner(attributes)
            each = _Field(tag, attributes, start, end)
            if found is not None:
                found.fields.append(each)
            self._field = each if tag != "input" else None
        elif tag == "option" and self._field is not None:
            self._option = _Field(tag, attributes, start, end)
            self._field.options.append(self._option)

    def _owner(self, attributes: Mapping[str, str | None]) -> _Form | None:
        named = attributes.get("form")
        if not named:
            return self._form
        return next((each for each in self.forms if each.attributes.get("id") == named), None)

    def handle_data(self, data: str) -> None:
        """Note the text of an option."""
        if self._option is not None:
            self._option.text += data

    def handle_endtag(self, tag: str) -> None:
        """Note the end of what was begun."""
        if tag == "form":
            self._form = None
        elif tag == "details" and self._folded:
            self._folded.pop()
        elif tag == "option":
            self._option = None
        elif tag in ("textarea", "select") and self._field is not None:
            self._field.text_end = self._here()
            self._field = None


def _path(action: str | None) -> str:
    return urlsplit(action or "").path
