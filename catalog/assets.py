"""Find the files that travel with the package: templates, resources, migrations."""

from __future__ import annotations

from pathlib import Path

from catalog.errors import InternalError

__all__ = ["asset_path", "read_asset"]

_PACKAGE = Path(__file__).resolve().parent
_ROOTS = (_PACKAGE / "_assets", _PACKAGE.parent)  # the wheel carries _assets/; a checkout has them beside


def asset_path(*parts: str) -> Path:
    """Path of a file or folder under ``templates/`` or ``vo_resources/``.

    Args:
        parts: Path below the root, such as ``"vo_resources", "tables", "obscore.yaml"``.

    Raises:
        InternalError: The installation lacks the file.
    """
    for root in _ROOTS:
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise InternalError(f"the installation lacks {'/'.join(parts)}")


def read_asset(*parts: str) -> str:
    """Text of a file under ``templates/`` or ``vo_resources/``, as UTF-8."""
    return asset_path(*parts).read_text(encoding="utf-8")
