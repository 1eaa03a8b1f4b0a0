"""Dossiers on pages of both consoles: documents that are shown and never run."""

from uuid import UUID

from litestar import Response

from vendrail.api.compliance import Compliance, DocumentFile, DocumentQuery, DossierId
from vendrail.kernel.http import as_attachment
from vendrail.web.pages import guards

Page = Response[bytes]

_POLICY = "default-src 'none'; sandbox"  # Whatever a document holds, it runs nothing.
_ENDINGS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "application/pdf": "pdf",
}


async def open_document(
    compliance: Compliance, id: UUID, dossier: DossierId, merchant: UUID | None
) -> Page | None:
    """Give a document: pictures are shown in their page, others kept; None: not there."""
    [found] = await compliance.read_documents([DocumentQuery(id, dossier, merchant)])
    return _page(found) if found is not None else None


def _page(found: DocumentFile) -> Page:
    is_picture = found.media_type.startswith("image/")
    name = f"{found.kind}.{_ENDINGS[found.media_type]}"
    headers = {
        "cache-control": "no-store",  # Nothing of it stays in a browser.
        "content-disposition": "inline" if is_picture else as_attachment(name),
        **guards(),
        "content-security-policy": _POLICY,
    }
    return Page(found.content, media_type=found.media_type, headers=headers)
