"""How operations of the merchants' part are described: what each of them has."""

from typing import Any

from vendrail.api.identity import Permission
from vendrail.gateway import problems as common
from vendrail.gateway.merchant import asked, problems
from vendrail.gateway.parts import given, query, refusals
from vendrail.gateway.problems import Problem

IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Fresh for each write: such as a UUID.",
    "schema": {"type": "string", "minLength": 16, "maxLength": 255},
    "example": "6b9a4c0e-2d57-4c0c-9d0e-0f2b7f2a4a11",
}
PAGING = [
    query("before", "`next` of the page before.", {"type": "string"}),
    query(
        "limit",
        "How many at most.",
        {"type": "integer", "minimum": 1, "maximum": asked.PAGE_MAX, "default": asked.PAGE},
    ),
]


def operation(
    id: str,
    summary: str,
    scope: Permission,
    answer: dict[str, Any],
    *refused: Problem,
    parameters: list[dict[str, Any]] | None = None,
    description: str = "",
    status: str = "200",
) -> dict[str, Any]:
    """Describe one operation, with what any of them may refuse."""
    refusing = refusals(
        problems.API_KEY_MISSING,
        problems.NETWORK_NOT_ALLOWED,
        problems.SCOPE_MISSING,
        *refused,
        common.RATE_LIMITED,
    )
    return {
        "operationId": id,
        "tags": ["merchants"],
        "summary": summary,
        "description": " ".join(filter(None, (description, f"Needs the scope `{scope}`."))),
        "security": [{"apiKey": []}],
        "parameters": parameters or [],
        "responses": {status: counted(answer), **refusing},
    }


def counted(answer: dict[str, Any]) -> dict[str, Any]:
    """Say that an answer tells how the key's rate stands."""
    told = {
        "RateLimit-Limit": "Requests with this key in a minute.",
        "RateLimit-Remaining": "How many of them are left, at most.",
        "RateLimit-Reset": "Seconds until there are all of them again.",
    }
    headers = {
        name: {"description": text, "schema": {"type": "integer"}} for name, text in told.items()
    }
    return {**answer, "headers": headers}


def page(what: str, shape: str, item: dict[str, Any]) -> dict[str, Any]:
    """Describe one page of a list."""
    return given(f"One page of {what}", shape, {"items": [item], "next": None})


def one_of(values: list[Any], default: str | None = None) -> dict[str, Any]:
    """Describe a word of a few."""
    schema: dict[str, Any] = {"type": "string", "enum": [str(value) for value in values]}
    return schema if default is None else {**schema, "default": default}
