"""What an asynchronous query does: parameters, query, encoded result (TAP 1.1 section 2.2)."""

from __future__ import annotations

from catalog.access import Caller
from catalog.dali import TapParameters, parse_parameters
from catalog.formats.encoder import encode
from catalog.formats.media import DEFAULT_FORMAT, Format, parse_format
from catalog.tap.query import QueryService, RowLimits
from catalog.uws.control import Control, Output
from catalog.uws.job import Job

__all__ = ["MULTIPLE", "TapWork"]

MULTIPLE = frozenset({"UPLOAD"})
"""Parameters that a job may have more than once."""


class TapWork:
    """The work of TAP jobs.

    Args:
        tap: Answers the queries.
        limits: Bounds of MAXREC.
    """

    def __init__(self, tap: QueryService, *, limits: RowLimits) -> None:
        self._tap = tap
        self._limits = limits

    def check(self, job: Job) -> None:
        """See whether something can come of a job, without asking the database.

        Raises:
            ParameterError: A parameter is missing, repeated or out of range.
            QueryError: The query is not valid.
        """
        params = parse_parameters(job.pairs())
        _format(params)
        self._tap.resolve(params.query)

    def __call__(self, job: Job, control: Control) -> Output:
        """Run the query of a job and write its result.

        Raises:
            CatalogError: What is wrong with the job, or what broke midway.
        """
        params = parse_parameters(job.pairs())
        form = _format(params)
        caller = Caller(job.owner)
        expected = self._tap.expected_rows(params.query, caller=caller, limit=self._limits.cut(params.maxrec))
        control.progress(0, rows_expected=expected)
        rows = self._tap.run(
            params.query,
            caller=caller,
            maxrec=params.maxrec,
            limits=self._limits,
            timeout_s=control.seconds_left,
        )
        with rows:
            control.on_cancel(rows.close)
            for piece in encode(rows, form, infos=self._tap.result_infos(params.query)):
                control.write(piece)
                control.progress(rows.rows)
        if rows.fault is not None:
            raise rows.fault
        return Output(form.content_type, rows.rows, rows.truncated)


def _format(params: TapParameters) -> Format:
    return parse_format(params.responseformat) if params.responseformat else DEFAULT_FORMAT
