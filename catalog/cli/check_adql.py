"""``catalog check-adql``: say of queries whether they are ADQL."""

from __future__ import annotations

import sys

import typer

from catalog.adql.check import check_lines

__all__ = ["app"]

app = typer.Typer()


@app.command()
def check_adql() -> None:
    """Say of each query on standard input, one JSON string to a line, whether it is ADQL: true or false."""
    for is_valid in check_lines(sys.stdin):
        typer.echo("true" if is_valid else "false")
