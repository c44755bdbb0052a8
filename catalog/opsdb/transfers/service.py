"""Transfers for those who plan them and those who move the bytes, each step in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from catalog.db import Database
from catalog.db.rows import stream_rows
from catalog.errors import NotFoundError, UsageError
from catalog.opsdb.enums import ChecksumAlgorithm, Status
from catalog.opsdb.lifecycle.traffic import is_under_way
from catalog.opsdb.models import (
    DataTransferLog,
    DataTransferPackage,
    RawDataPackage,
)
from catalog.opsdb.reports import Writing, check_bytes, reporting, require_actor
from catalog.opsdb.schema import refuse_attached
from catalog.opsdb.transfers.bundles import NewBundle, TransferSummary, plan_transfers
from catalog.opsdb.transfers.plan import BundleLimits
from catalog.opsdb.transfers.records import TransferRecord, TransferTask, read_task, select_records
from catalog.opsdb.transfers.settle import members_of
from catalog.opsdb.transfers.steps import (
    EFFECTS,
    WORKS,
    Key,
    StepReport,
    TransferStep,
    give_up_what_follows,
    refuse_early,
    select_due,
)
from catalog.opsdb.work import (
    RetryRules,
    WorkChange,
    begin_next,
    begin_work,
    complete_work,
    current_attempt,
    fail_work,
)

__all__ = ["TransferRecord", "TransferService", "TransferStep", "TransferTask"]


class TransferService:
    """Everything about transfers.

    Args:
        database: The operations database.
        limits: How large a bundle becomes.
        rules: How often a step is tried.
        overdue_after: What has waited so long goes in a bundle below the minimum.
        writing: Opens the transactions in which movers report.
    """

    def __init__(
        self,
        database: Database,
        limits: BundleLimits,
        rules: RetryRules,
        *,
        overdue_after: timedelta,
        writing: Writing,
    ) -> None:
        self._database = database
        self._limits = limits
        self._rules = rules
        self._overdue_after = overdue_after
        self._writing = writing

    def plan(
        self,
        *,
        actor: str,
        route: str | None = None,
        again: bool = False,
        dry_run: bool = False,
        planned: Callable[[NewBundle], None] | None = None,
    ) -> TransferSummary:
        """Bundle packages that are wanted elsewhere; see `catalog.opsdb.transfers.bundles.plan_transfers`."""
        require_actor(actor)
        return plan_transfers(
            self._database,
            self._limits,
            overdue_after=self._overdue_after,
            actor=actor,
            route=route,
            again=again,
            dry_run=dry_run,
            planned=planned,
        )

    def transfers(self, *, everything: bool = False) -> Generator[TransferRecord]:
        """Transfers in the order in which they were planned; only those that are not over, unless all are wanted.

        Close it, if it is not read to its end.
        """
        with self._database.engine.connect() as connection:
            query = select_records() if everything else select_records().where(is_under_way())
            with closing(stream_rows(connection, query)) as rows:
                for row in rows:
                    yield TransferRecord(*row)

    def contents(self, bundle_id: UUID) -> Generator[str]:
        """Relative paths of the packages of a bundle; close it, if it is not read to its end.

        Raises:
            NotFoundError: There is no such bundle.
        """
        mine = sa.select(RawDataPackage.relative_path).where(RawDataPackage.id.in_(members_of(bundle_id)))
        with self._database.engine.connect() as connection:
            if connection.scalar(sa.select(DataTransferPackage.id).where(DataTransferPackage.id == bundle_id)) is None:
                raise NotFoundError(f"there is no transfer package {bundle_id}")
            paths = mine.order_by(RawDataPackage.relative_path)
            with closing(stream_rows(connection, paths)) as rows:
                yield from (path for (path,) in rows)

    def take(self, step: TransferStep, *, actor: str, site: str | None = None) -> TransferTask | None:
        """Begin what is due longest; two movers never get the same.

        Args:
            step: What to do.
            actor: Who does it; kept in the history.
            site: Key of a site: only what is bundled there, sent from there, or unpacked there.

        Returns:
            None when nothing is due.

        Raises:
            UsageError: Nobody is named.
        """
        with reporting(actor, self._writing) as connection:
            change = begin_next(connection, WORKS[step], select_due(connection, step, self._rules, site), actor=actor)
            return None if change is None else read_task(connection, step, change)

    def start(self, step: TransferStep, key: Key, *, actor: str) -> TransferTask:
        """Begin a named step, also while it rests after a failure; who has begun it already may ask again.

        Args:
            step: What to do.
            key: Of the transfer package for `TransferStep.BUNDLE`, else the number of the transfer.
            actor: Who does it; kept in the history.

        Raises:
            NotFoundError: There is no such transfer.
            IntegrityError: Somebody else does it, it has failed for good, or what comes before it is not done.
            UsageError: Nobody is named.
        """
        with reporting(actor, self._writing) as connection:
            change = begin_work(connection, WORKS[step], key, actor=actor)
            if change.is_new:
                refuse_early(connection, step, key)
            return read_task(connection, step, change)

    def complete(
        self,
        step: TransferStep,
        key: Key,
        *,
        attempt: int,
        actor: str,
        size_bytes: int | None = None,
        checksum: str | None = None,
        checksum_algorithm: ChecksumAlgorithm = ChecksumAlgorithm.SHA256,
        is_verified: bool = False,
        reason: str | None = None,
    ) -> WorkChange:
        """Say that a step is done; the copies that it made are recorded in the same transaction.

        Args:
            step: What was done.
            key: As in `start`.
            attempt: As told when it was begun.
            actor: Who says so; kept in the history.
            size_bytes: Of the transfer package; must be given when it was built.
            checksum: Of the transfer package, hexadecimal; must be given when it was built, and is compared when it
                was moved.
            checksum_algorithm: Of the checksum.
            is_verified: Whether each package that was unpacked was compared with its size and checksum, and is whole.
            reason: Anything worth knowing; kept in the history.

        Raises:
            NotFoundError: There is no such transfer.
            IntegrityError: The attempt has not begun, or what has arrived is not what was sent.
            UsageError: Size or checksum are missing or none, or nobody is named.
        """
        known: dict[str, Any] = {}
        if step is TransferStep.BUNDLE and (size_bytes is None or checksum is None):
            raise UsageError("what was built has a size and a checksum; give both")
        if checksum is not None:
            known = check_bytes(size_bytes or 0, checksum, checksum_algorithm)
        report = StepReport(actor, reason, known, size_bytes, is_verified)
        with reporting(actor, self._writing) as connection:
            current_attempt(connection, WORKS[step], key)
            values = known if step is TransferStep.BUNDLE else {}
            change = complete_work(connection, WORKS[step], key, attempt=attempt, actor=actor, reason=reason, **values)
            if change.is_new:
                EFFECTS[step](connection, key, report)
            return change

    def fail(
        self,
        step: TransferStep,
        key: Key,
        *,
        attempt: int,
        reason: str,
        actor: str,
        is_final: bool = False,
    ) -> WorkChange:
        """Say that a step has failed; it is due again after a rest, or never. Then its packages have failed, too.

        Args:
            step: What was tried.
            key: As in `start`.
            attempt: As told when it was begun.
            reason: Why; kept in the history, and with the transfer.
            actor: Who says so; kept in the history.
            is_final: Whether trying again is no use.

        Raises:
            NotFoundError: There is no such transfer.
            IntegrityError: The attempt has not begun, or it has succeeded.
            UsageError: Nobody is named.
        """
        with reporting(actor, self._writing) as connection:
            change = fail_work(
                connection,
                WORKS[step],
                key,
                attempt=attempt,
                actor=actor,
                reason=reason,
                rules=self._rules,
                is_final=is_final,
            )
            if change.is_new and change.after is Status.FAILED:
                give_up_what_follows(connection, step, key, actor, reason)
            return change

    def log(self, transfer_id: int, log_path: str) -> None:
        """Record where the log of a transfer lies; once, however often it is said.

        Raises:
            NotFoundError: There is no such transfer.
            UsageError: The path is empty.
        """
        if not log_path.strip():
            raise UsageError("the path of a log is not empty")
        with self._writing() as connection:
            refuse_attached(connection)
            current_attempt(connection, WORKS[TransferStep.MOVE], transfer_id)
            values = {"data_transfer_id": transfer_id, "log_path": log_path}
            known = sa.select(DataTransferLog.id).where(
                DataTransferLog.data_transfer_id == transfer_id, DataTransferLog.log_path == log_path
            )
            if connection.scalar(known) is None:
                connection.execute(sa.insert(DataTransferLog).values(values))
