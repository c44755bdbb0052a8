"""The figures: what was aimed at, a table for people, a flat object for programs, a picture for the documentation."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping
from pathlib import Path

__all__ = ["TARGETS", "draw", "render", "write"]

_AT_LEAST, _AT_MOST = operator.ge, operator.le

TARGETS = {
    "binary2_over_copy": (_AT_LEAST, 0.4),
    "binary2_rows_per_s": (_AT_LEAST, 15 * 6_700),
    "tabledata_over_copy": (_AT_LEAST, 0.4),
    "csv_over_copy": (_AT_LEAST, 0.4),
    "sqlite_binary2_over_read": (_AT_LEAST, 0.7),
    "sqlite_tabledata_over_read": (_AT_LEAST, 0.7),
    "sqlite_csv_over_read": (_AT_LEAST, 0.7),
    "first_byte_ms": (_AT_MOST, 300),
    "sqlite_first_byte_ms": (_AT_MOST, 300),
    "peak_rss_mb_1m": (_AT_MOST, 300),
    "peak_rss_mb_3m": (_AT_MOST, 300),
    "peak_rss_growth": (_AT_MOST, 0.05),
    "sqlite_peak_rss_mb_1m": (_AT_MOST, 400),
    "sqlite_peak_rss_mb_3m": (_AT_MOST, 400),
    "sqlite_peak_rss_growth": (_AT_MOST, 0.05),
    "small_query_over_psycopg_ms": (_AT_MOST, 8),
    "requests_per_s_8": (_AT_LEAST, 300),
    "cone_1deg_ms": (_AT_MOST, 15),
    "ingest_over_copy": (_AT_LEAST, 0.5),
    "async_top10_ms": (_AT_MOST, 150),
    "small_query_during_stream_over_quiet": (_AT_MOST, 3),
    "plans_that_scan": (_AT_MOST, 0),
    "sqlite_plans_that_scan": (_AT_MOST, 0),
    "translate_median_ms": (_AT_MOST, 5),
    **{f"count_{name}_over_driver": (_AT_MOST, 2) for name in ("all", "instrument", "program", "month")},
}
"""What the project holds itself to on two cores, with PostgreSQL on the same machine."""

_SIGNS = {_AT_LEAST: "≥", _AT_MOST: "≤"}


def render(measured: Mapping[str, float]) -> str:
    """A table: name, figure, target, and whether it was missed."""
    lines = []
    for name, value in measured.items():
        figure = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
        target, remark = "", ""
        if name in TARGETS:
            compare, bound = TARGETS[name]
            target = f"{_SIGNS[compare]} {bound:,}"
            remark = "" if compare(value, bound) else "MISSED"
        lines.append(f"{name:<44}{figure:>14}  {target:<12}{remark}".rstrip())
    return "\n".join(lines)


def write(measured: Mapping[str, float], path: Path) -> None:
    """One flat JSON object, name to number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({name: float(f"{value:.6g}") for name, value in measured.items()}, indent=1) + "\n")


def draw(measured: Mapping[str, float], path: Path) -> None:
    """Rows per second of streams and writers, as a picture."""
    from matplotlib.figure import Figure

    groups = {
        "1,000,000 rows over HTTP, PostgreSQL": ("binary2", "tabledata", "csv", "parquet", "copy_binary", "copy_text"),
        "1,000,000 rows over HTTP, SQLite": (
            "sqlite_binary2",
            "sqlite_tabledata",
            "sqlite_csv",
            "sqlite_parquet",
            "sqlite_read",
        ),
        "writers alone, rows in memory": (
            "encode_binary2",
            "encode_tabledata",
            "stilts_binary2",
            "stilts_tabledata",
            "astropy_binary2",
            "astropy_tabledata",
        ),
    }
    figure = Figure(figsize=(8, 7), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(len(groups), 1), groups.items(), strict=True):
        known = [name for name in names if f"{name}_rows_per_s" in measured]
        values = [measured[f"{name}_rows_per_s"] / 1e3 for name in known]
        colours = [
            "#9aa5b1" if name.startswith(("copy", "sqlite_read", "stilts", "astropy")) else "#1f6f8b" for name in known
        ]
        bars = axes.barh([name.removeprefix("sqlite_").replace("_", " ") for name in known], values, color=colours)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlabel("thousand rows per second", fontsize=8)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0.12)
    figure.savefig(path, metadata={"Date": None})
