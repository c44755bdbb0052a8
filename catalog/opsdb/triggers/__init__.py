"""Triggers on the operations tables: clock of each row, rules that no CHECK can say, moves of states, resolve queue.

They are installed from code, not by migrations, and work for every writer: the ORM, bulk loads and plain SQL. Their
names, and those of their functions on PostgreSQL, start with ``opsdb_``.
"""

from __future__ import annotations

from catalog.opsdb.triggers.install import Triggers
from catalog.opsdb.triggers.queue import queue_suspended

__all__ = ["Triggers", "queue_suspended"]
