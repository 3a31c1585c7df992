"""Style sheet, scripts and icon: read once, served with the hash of their content."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["Assets"]

_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


@dataclass(frozen=True, slots=True)
class _Asset:
    body: bytes
    media_type: str
    mark: str


class Assets:
    """The files of the package's ``static`` folder."""

    def __init__(self) -> None:
        self._files: dict[str, _Asset] = {}
        for file in (resources.files("hilum.portal") / "static").iterdir():
            media_type = _MEDIA_TYPES.get(file.name.rpartition(".")[2])
            if media_type is not None:
                body = file.read_bytes()
                self._files[file.name] = _Asset(body, media_type, sha256(body).hexdigest()[:16])

    def address(self, name: str) -> str:
        """Return the address of a file; it changes when the file does.

        Args:
            name: file name, e.g. ``portal.css``.
        """
        return f"/static/{name}?v={self._files[name].mark}"

    async def serve(self, request: Request) -> Response:
        """Answer a request for a file."""
        asset = self._files.get(request.path_params["name"])
        if asset is None:
            return Response(status_code=404)
        etag = f'"{asset.mark}"'
        named = request.query_params.get("v") == asset.mark
        headers = {"ETag": etag, "Cache-Control": _FOR_EVER if named else _ASK_AGAIN}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(asset.body, media_type=asset.media_type, headers=headers)
