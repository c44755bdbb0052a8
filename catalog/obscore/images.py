"""Whether there is any image or cube among the published packages, without looking at all others."""

from __future__ import annotations

import sqlalchemy as sa

from catalog.adql.translate import RowRule
from catalog.db import Database
from catalog.obscore.package_obscore import IS_IMAGE, TABLE, package_obscore, published_table

__all__ = ["has_images"]


def has_images(database: Database, rule: RowRule) -> bool:
    """Whether somebody may see an image or cube.

    Args:
        database: Opened with the owner's login.
        rule: Which rows he may see.

    Raises:
        UnavailableError: The database does not answer.
    """
    rows = package_obscore()
    seen = rule(published_table(TABLE), rows)
    wanted = sa.select(sa.literal(1)).select_from(rows).where(sa.text(IS_IMAGE)).limit(1)
    with database.engine.connect() as connection:
        return connection.scalar(wanted if seen is None else wanted.where(seen)) is not None
