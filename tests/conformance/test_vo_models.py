"""The typed models of vo-models read every document of the service, and find in it what was said."""

from __future__ import annotations

import httpx
import pytest
from vo_models.uws.models import Jobs, JobSummary, MultiValuedParameter, Parameter, Parameters
from vo_models.uws.types import ExecutionPhase
from vo_models.vosi.availability.models import Availability
from vo_models.vosi.capabilities.models import VOSICapabilities
from vo_models.vosi.tables.models import VOSITable, VOSITableSet

pytestmark = pytest.mark.conformance

QUERY = "SELECT TOP 3 obs_id FROM ivoa.obscore WHERE target_name <> 'å & <b>'"


class TapParameters(Parameters):
    """Parameters of a TAP job; this library names the fields as the job does."""

    QUERY: Parameter
    LANG: Parameter
    UPLOAD: MultiValuedParameter = ()


def test_what_the_service_can_do(tap_url: str) -> None:
    found = VOSICapabilities.from_xml(httpx.get(f"{tap_url}/capabilities").content)
    standards = {str(capability.standard_id) for capability in found.capability}
    assert {"ivo://ivoa.net/std/TAP", "ivo://ivoa.net/std/VOSI#availability"} <= standards
    [tap] = [capability for capability in found.capability if capability.standard_id == "ivo://ivoa.net/std/TAP"]
    assert {version.value for version in tap.language[0].version} == {"2.0", "2.1"}
    assert tap.output_limit.default.value == 20_000
    assert tap.execution_duration.hard == 21_600


def test_whether_it_answers(tap_url: str) -> None:
    found = Availability.from_xml(httpx.get(f"{tap_url}/availability").content)
    assert found.available
    assert found.up_since is not None


def test_which_tables_there_are(tap_url: str) -> None:
    found = VOSITableSet.from_xml(httpx.get(f"{tap_url}/tables").content)
    tables = {table.table_name: table for schema in found.tableset_schema for table in schema.table}
    alone = VOSITable.from_xml(httpx.get(f"{tap_url}/tables/ivoa.obscore").content)
    for table in (tables["ivoa.obscore"], alone):
        columns = {column.column_name: column for column in table.column}
        assert len(columns) >= 30
        assert (columns["s_ra"].unit, columns["s_ra"].datatype.value) == ("deg", "double")
    assert {"tap_schema.columns", "fyst.packages"} <= set(tables)


def test_what_a_job_is(tap_url: str) -> None:
    made = httpx.post(f"{tap_url}/async", data={"QUERY": QUERY, "LANG": "ADQL", "RUNID": "typed", "PHASE": "RUN"})
    url = made.headers["location"]
    while True:
        found = JobSummary[TapParameters].from_xml(httpx.get(f"{url}?WAIT=30").content)
        if found.phase is not ExecutionPhase.QUEUED and found.phase is not ExecutionPhase.EXECUTING:
            break
    assert (found.phase, found.run_id, found.version) == (ExecutionPhase.COMPLETED, "typed", "1.1")
    assert (found.parameters.QUERY.value, found.parameters.LANG.value) == (QUERY, "ADQL")
    assert found.creation_time <= found.start_time <= found.end_time < found.destruction
    [result] = found.results.results
    answer = httpx.get(result.href)
    assert (result.size, result.mime_type) == (len(answer.content), answer.headers["content-type"])


def test_why_a_job_failed_and_which_jobs_there_are(tap_url: str) -> None:
    made = httpx.post(f"{tap_url}/async", data={"QUERY": "DUFF", "LANG": "ADQL", "PHASE": "RUN"})
    url = made.headers["location"]
    job = JobSummary[TapParameters].from_xml(httpx.get(url).content)
    assert job.phase is ExecutionPhase.ERROR
    assert job.error_summary.has_detail
    assert "DUFF" in job.error_summary.message
    listed = Jobs.from_xml(httpx.get(f"{tap_url}/async", params={"PHASE": "ERROR", "LAST": 1}).content)
    [reference] = listed.jobref
    assert (reference.job_id, reference.href, reference.phase) == (job.job_id, url, ExecutionPhase.ERROR)
