"""What an asynchronous query does: parameters, query, encoded result (TAP 1.1 section 2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from catalog.access import ANONYMOUS, Caller
from catalog.adql.parser import parse
from catalog.dali import TapParameters, UploadedFile, parse_parameters
from catalog.formats.encoder import encode
from catalog.formats.media import DEFAULT_FORMAT, Format, parse_format
from catalog.tap.query import QueryService, RowLimits
from catalog.tap.upload import Uploads, UploadService
from catalog.uws.control import Control, Output
from catalog.uws.job import Client, Job
from catalog.uws.results import ResultStore

__all__ = ["MULTIPLE", "TapWork"]

MULTIPLE = frozenset({"UPLOAD"})
"""Parameters that a job may have more than once."""


class TapWork:
    """The work of TAP jobs.

    Args:
        tap: Answers the queries.
        uploads: Reads the tables that jobs bring.
        files: Where the files of jobs are.
        limits: Bounds of MAXREC.
        caller_of: What somebody who could log in when a job was made may see now; raises when nothing.
    """

    def __init__(
        self,
        tap: QueryService,
        uploads: UploadService,
        files: ResultStore,
        *,
        limits: RowLimits,
        caller_of: Callable[[Client], Caller],
    ) -> None:
        self._tap = tap
        self._uploads = uploads
        self._files = files
        self._limits = limits
        self._caller_of = caller_of

    def check(self, job: Job) -> None:
        """See whether something can come of a job, without asking the database or fetching anything.

        Names of a query with uploads are looked at when its tables are there.

        Raises:
            ParameterError: A parameter is missing, repeated or out of range.
            QueryError: The query is not valid.
        """
        params = parse_parameters(job.pairs())
        _format(params)
        if params.uploads:
            parse(params.query)
        else:
            self._tap.resolve(params.query)

    def __call__(self, job: Job, control: Control) -> Output:
        """Run the query of a job and write its result.

        Raises:
            CatalogError: What is wrong with the job, or what broke midway.
        """
        params = parse_parameters(job.pairs())
        form = _format(params)
        caller = ANONYMOUS if job.owner is None else self._caller_of(job.client)
        with self._opened(job, params, control) as uploads:
            if not params.uploads:
                limit = self._limits.cut(params.maxrec)
                expected = self._tap.expected_rows(params.query, caller=caller, limit=limit)
                control.progress(0, rows_expected=expected)
            rows = self._tap.run(
                params.query,
                caller=caller,
                maxrec=params.maxrec,
                limits=self._limits,
                timeout_s=control.seconds_left,
                uploads=uploads,
            )
            with rows:
                control.on_cancel(rows.close)
                infos = self._tap.result_infos(params.query, caller=caller, uploads=uploads)
                for piece in encode(rows, form, infos=infos):
                    control.write(piece)
                    control.progress(rows.rows)
        if rows.fault is not None:
            raise rows.fault
        return Output(form.content_type, rows.rows, rows.truncated)

    @contextmanager
    def _opened(self, job: Job, params: TapParameters, control: Control) -> Iterator[Uploads]:
        """The tables of a job: those that came with it, and those that lie elsewhere, as they are now."""
        with ExitStack() as stack:
            files: list[UploadedFile] = []
            for each in job.parameters:
                if each.file is not None:
                    content = stack.enter_context(self._files.open(each.file))
                    files.append(UploadedFile(each.name, each.file.content_type, each.file.size, content))
            yield stack.enter_context(self._uploads.open(params.uploads, files, is_stopped=lambda: control.cancelled))


def _format(params: TapParameters) -> Format:
    return parse_format(params.responseformat) if params.responseformat else DEFAULT_FORMAT
