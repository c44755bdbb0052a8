"""An HTML page with the rows in a table, for people with a browser; well-formed XML all the same.

Everything is escaped, and a page loads and runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

import pyarrow as pa
import pyarrow.compute as pc

from catalog.formats.cells import PLAIN_SPELLING, cell_text, text_bytes
from catalog.formats.ending import ending, until_fault
from catalog.vo.table import Column, Info, TableStream

__all__ = ["encode_html"]

_STYLE = """
:root { color-scheme: light dark; --line: #8a97a6; --alarm: #a31515; }
@media (prefers-color-scheme: dark) { :root { --line: #6b7b8c; --alarm: #ff9c93; } }
body { margin: 1rem; font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem 1rem .25rem 0; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
.number { text-align: right; }
.unit { font-weight: 400; }
.alarm { color: var(--alarm); }
"""
_ILLEGAL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{9f}\x{FFFE}\x{FFFF}]"
_REFERENCES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("\r", "&#13;"))
_URL = r"^https?://[^\s\"<>]+$"


def encode_html(stream: TableStream, batches: Iterable[pa.RecordBatch], infos: Sequence[Info]) -> Iterator[bytes]:
    """A page; a `CatalogError` among the batches is told below the table."""
    columns = stream.table.columns
    yield _head(columns, infos).encode()
    for batch in until_fault(batches):
        yield _rows(columns, batch)
    alarm = ' class="alarm" role="alert"' if stream.fault is not None or stream.truncated else ""
    sentence = _text(ending(stream))
    yield f"</tbody>\n</table>\n</div>\n<p{alarm}>{sentence}</p>\n</main>\n</body>\n</html>\n".encode()


def _head(columns: Sequence[Column], infos: Sequence[Info]) -> str:
    query = next((info.value for info in infos if info.name.lower() == "query"), None)
    asked = f"<pre>{_text(query)}</pre>\n" if query else ""
    return (
        '<!DOCTYPE html>\n<html xmlns="http://www.w3.org/1999/xhtml" lang="en">\n<head>\n<meta charset="utf-8" />\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1" />\n'
        f"<title>Result</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Result</h1>\n{asked}"
        '<div class="scroll" role="region" aria-label="Rows" tabindex="0">\n<table>\n'
        f"<thead>\n<tr>{''.join(map(_heading, columns))}</tr>\n</thead>\n<tbody>\n"
    )


def _heading(column: Column) -> str:
    title = f' title="{_text(column.description)}"' if column.description else ""
    unit = f' <span class="unit">[{_text(column.unit)}]</span>' if column.unit else ""
    return f'<th scope="col"{_kind(column)}{title}>{_text(column.name)}{unit}</th>'


def _rows(columns: Sequence[Column], batch: pa.RecordBatch) -> bytes:
    parts: list[pa.Array | str] = []
    for column, array in zip(columns, batch.columns, strict=True):
        parts += [f"<td{_kind(column)}>", _cells(array, column), "</td>"]
    row = pc.binary_join_element_wise("<tr>", *parts, "</tr>\n", "", null_handling="replace", null_replacement="")
    return text_bytes(row)


def _cells(array: pa.Array, column: Column) -> pa.Array:
    """Escaped text; addresses become links."""
    text = cell_text(array, column, PLAIN_SPELLING)
    if not column.datatype.is_text:
        return text
    is_url = pc.match_substring_regex(text, _URL)
    text = pc.replace_substring_regex(text, _ILLEGAL, "")
    for character, reference in _REFERENCES:
        text = pc.replace_substring(text, character, reference)
    if not pc.any(is_url).as_py():
        return text
    return pc.if_else(is_url, pc.binary_join_element_wise('<a href="', text, '">', text, "</a>", ""), text)


def _kind(column: Column) -> str:
    return ' class="number"' if column.datatype.is_numeric and not column.is_array else ""


def _text(value: str) -> str:
    return escape(re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "", value))
