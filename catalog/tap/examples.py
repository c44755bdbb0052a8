"""Queries for people to start from, as a document that programs read too (DALI 1.1 section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from catalog.assets import asset_path, read_asset
from catalog.errors import InternalError
from catalog.tap.query import QueryService
from catalog.vo.documents import render

__all__ = ["Example", "load_examples", "parse_examples", "render_examples"]


class Example(BaseModel):
    """A query with its story."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    id: str
    """Unique on the page."""

    name: str
    description: str
    query: str


@dataclass(frozen=True, slots=True)
class _Shown:
    example: Example
    tables: tuple[str, ...]


def parse_examples(text: str, origin: str) -> tuple[Example, ...]:
    """Read one YAML file of examples.

    Args:
        text: The YAML text.
        origin: File name for messages.

    Raises:
        InternalError: The text is not YAML, or a key is unknown, missing or of the wrong kind.
    """
    try:
        return TypeAdapter(tuple[Example, ...]).validate_python(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise InternalError(f"{origin}: {error}") from None


def load_examples() -> tuple[Example, ...]:
    """Every example of ``vo_resources/examples``, sorted by file name."""
    folder = asset_path("vo_resources", "examples")
    return tuple(
        example
        for path in sorted(folder.glob("*.yaml"))
        for example in parse_examples(read_asset("vo_resources", "examples", path.name), path.name)
    )


def render_examples(examples: Sequence[Example], service: QueryService, *, title: str, base_url: str) -> bytes:
    """The examples document: XHTML with RDFa, which names each query and the tables that it reads.

    Args:
        examples: In the order of the page.
        service: Says which tables a query reads.
        title: What the service is called.
        base_url: URL of the TAP service, without a slash at the end.

    Raises:
        QueryError: An example is no valid query.
    """
    shown = [_Shown(example, service.resolve(example.query).tables) for example in examples]
    return render("tap/examples.html", title=title, base_url=base_url, shown=shown)
