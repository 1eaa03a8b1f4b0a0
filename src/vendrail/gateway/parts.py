"""What descriptions of the API are put together from."""

from typing import Any

import msgspec

from vendrail.gateway import problems
from vendrail.gateway.problems import Problem

SERIAL = "06ASMRVT3W7J1C2XK9QF4EBN8D"
_CHALLENGE = {
    "algorithm": "SHA-256",
    "challenge": "62f14a3f9f30b1b57dbb6c0dd7d0ac1bf8ea3ca4ae6c71a2d1ee5b1bb32d9d0b",
    "maxnumber": 100_000,
    "salt": "5e2f8b1cc0a94f7d03a6b9e1?expires=1795420800&",
    "signature": "b1e7c9a05a0f4b0f8cf0a8f3d7d65f9d8d3c2b4a5968778695a4b3c2d1e0f001",
}


def path_id(description: str) -> dict[str, Any]:
    """Describe the id in an address."""
    return {
        "name": "id",
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "pattern": "^[0-9A-Za-z]{26}$"},
        "example": SERIAL,
    }


def query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describe a parameter of an address."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _ref(shape: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{shape}"}


def sent(shape: str, example: object) -> dict[str, Any]:
    """Describe the body of a request."""
    media = {"schema": _ref(shape), "example": example}
    return {"required": True, "content": {"application/json": media}}


def given(description: str, shape: str, example: object = None) -> dict[str, Any]:
    """Describe an answer."""
    media: dict[str, Any] = {"schema": _ref(shape)}
    if example is not None:
        media["example"] = example
    return {"description": description, "content": {"application/json": media}}


def refusals(*expected: Problem) -> dict[str, Any]:
    """Gather problems by status, each shown as an example under its code."""
    by_status: dict[int, list[Problem]] = {}
    for problem in (*expected, problems.BROKEN, problems.UNAVAILABLE):
        by_status.setdefault(problem.status, []).append(problem)
    answers: dict[str, Any] = {}
    for status, kinds in sorted(by_status.items()):
        is_proof = status == 428
        more = {"challenge": _CHALLENGE} if is_proof else {}
        examples = {
            kind.code: {"summary": kind.title, "value": msgspec.json.decode(kind.body()) | more}
            for kind in kinds
        }
        shape = "ProofProblem" if is_proof else "ProblemDetails"
        media = {"schema": _ref(shape), "examples": examples}
        answer: dict[str, Any] = {
            "description": " / ".join(dict.fromkeys(kind.title for kind in kinds)),
            "content": {"application/problem+json": media},
        }
        if status in (429, 503):
            answer["headers"] = {
                "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
            }
        answers[str(status)] = answer
    return answers
