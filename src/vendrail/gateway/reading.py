"""The API to read: one plain page out of its description, without scripts, also offline."""

import json
from html import escape
from typing import Any

_METHODS = ("get", "post", "put", "delete")
_STYLE = """
:root { color-scheme: light dark; --line: #d5dad8; --quiet: #55605c; --tone: #0f6b58;
  --back: #f5f6f5; --panel: #fff; }
@media (prefers-color-scheme: dark) { :root { --line: #2c3633; --quiet: #a3b0ab; --tone: #5fd3b6;
  --back: #0e1412; --panel: #18201d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); font: 16px/1.55 system-ui, sans-serif; }
header, main { max-width: 60rem; margin: 0 auto; padding: 1.25rem 1rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .75rem; }
h3 { font-size: .95rem; margin: 1rem 0 .35rem; }
p { margin: .35rem 0; max-width: 46rem; }
a { color: var(--tone); }
nav a { display: inline-block; margin-right: 1rem; padding: .35rem 0; }
details { background: var(--panel); border: 1px solid var(--line); border-radius: .6rem;
  margin: .5rem 0; padding: 0 1rem; }
details[open] { padding-bottom: 1rem; }
summary { cursor: pointer; padding: .7rem 0; }
summary b { color: var(--tone); font: 600 .85rem ui-monospace, monospace; margin-right: .5rem; }
summary code { font-weight: 600; margin-right: .75rem; overflow-wrap: anywhere; }
summary span, .quiet { color: var(--quiet); }
code, pre { font: .85rem/1.5 ui-monospace, monospace; }
pre { background: var(--back); border: 1px solid var(--line); border-radius: .4rem;
  margin: .35rem 0; overflow-x: auto; padding: .7rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
td, th { border-top: 1px solid var(--line); padding: .4rem .75rem .4rem 0; text-align: left;
  vertical-align: top; }
"""


def style() -> bytes:
    """Give the page's style sheet."""
    return _STYLE.encode()


def page(description: bytes) -> bytes:
    """Write the page."""
    document = json.loads(description)
    info = document["info"]
    tags = document["tags"]
    links = "".join(f'<a href="#{each["name"]}">{escape(each["name"])}</a>' for each in tags)
    sections = "".join(_section(document, each) for each in tags)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])} API</title>"
        '<link rel="stylesheet" href="/api/docs.css"></head><body><header>'
        f"<h1>{escape(info['title'])} API</h1><p class=quiet>{escape(info['summary'])}</p>"
        f"<p>{_prose(info['description'])}</p>"
        f"<p>Below <code>{escape(document['servers'][0]['url'])}</code>. The same for machines: "
        f'<a href="/api/openapi.json">openapi.json</a>.</p><nav>{links}</nav></header>'
        f"<main>{sections}</main></body></html>"
    ).encode()


def _section(document: dict[str, Any], tag: dict[str, str]) -> str:
    operations = "".join(
        _operation(document, method, path, methods[method])
        for path, methods in document["paths"].items()
        for method in _METHODS
        if method in methods and tag["name"] in methods[method]["tags"]
    )
    name = escape(tag["name"])
    title = escape(tag["name"].capitalize())
    return f'<h2 id="{name}">{title}</h2><p>{_prose(tag["description"])}</p>{operations}'


def _operation(document: dict[str, Any], method: str, path: str, told: dict[str, Any]) -> str:
    head = (
        f'<details id="{escape(told["operationId"])}"><summary><b>{method.upper()}</b>'
        f"<code>{escape(path)}</code><span>{escape(told['summary'])}</span></summary>"
    )
    parts = [head]
    if "description" in told:
        parts.append(f"<p>{_prose(told['description'])}</p>")
    if told.get("parameters"):
        rows = [(_named(each), _type(each["schema"]), _about(each)) for each in told["parameters"]]
        parts.append("<h3>Parameters</h3>" + _table(rows))
    for kind, media in told.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<h3>Body: <code>{escape(kind)}</code></h3>" + _shape(document, media))
    for status, answer in told["responses"].items():
        parts.append(_answer(document, status, answer))
    return "".join([*parts, "</details>"])


def _answer(document: dict[str, Any], status: str, answer: dict[str, Any]) -> str:
    parts = [f"<h3>{escape(status)} {escape(answer['description'])}</h3>"]
    for media in answer.get("content", {}).values():
        if int(status) < 400:
            parts.append(_shape(document, media))
            continue
        rows = [
            (f"<code>{escape(code)}</code>", "", _prose(example["value"].get("detail", "")))
            for code, example in media.get("examples", {}).items()
        ]
        parts.append(_table(rows))
    return "".join(parts)


def _shape(document: dict[str, Any], media: dict[str, Any]) -> str:
    """Show a body: its fields, and an example."""
    schema = media.get("schema", {})
    found = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
    required = set(found.get("required", ()))
    rows = [
        (
            f"<code>{escape(name)}</code>" + ("" if name in required else " (optional)"),
            _type(each),
            _prose(each.get("description", "")),
        )
        for name, each in found.get("properties", {}).items()
    ]
    table = _table(rows) if rows else ""
    if "example" not in media:
        return table
    example = media["example"]
    text = example if isinstance(example, str) else json.dumps(example, indent=2)
    return f"{table}<pre>{escape(text)}</pre>"


def _named(parameter: dict[str, Any]) -> str:
    optional = "" if parameter.get("required") else " (optional)"
    return f"<code>{escape(parameter['name'])}</code>{optional}, {escape(parameter['in'])}"


def _about(parameter: dict[str, Any]) -> str:
    values = parameter["schema"].get("enum")
    listed = "".join(f" <code>{escape(value)}</code>" for value in values or ())
    return _prose(parameter.get("description", "")) + listed


def _type(schema: dict[str, Any]) -> str:
    """Name what a field is."""
    if "$ref" in schema:
        return escape(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type") or ""))


def _table(rows: list[tuple[str, str, str]]) -> str:
    body = "".join(f"<tr><td>{a}</td><td>{b}</td><td>{c}</td></tr>" for a, b, c in rows)
    return f'<div class="wide"><table>{body}</table></div>'


def _prose(text: str) -> str:
    """Write a text, with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(
        f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts)
    )
