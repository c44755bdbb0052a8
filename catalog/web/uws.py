"""Asynchronous queries: the resources of jobs (TAP 1.1 section 2.3, UWS 1.1 section 2.2)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from catalog.dali import single_values, with_one_format
from catalog.errors import CatalogError, NotFoundError, ParameterError
from catalog.formats.media import parse_format
from catalog.uws.documents import render_job, render_jobs, render_parameters, render_results, render_time
from catalog.uws.job import Job, StoredFile
from catalog.uws.parameters import parse_time
from catalog.uws.phase import BLOCKING, Phase
from catalog.uws.service import JobService
from catalog.web.documents import XML
from catalog.web.identity import client_of, lister_of
from catalog.web.parameters import read_form, read_pairs
from catalog.web.proxies import public_url
from catalog.web.ranges import StoredObject, object_response
from catalog.web.responses import as_fault, fault_response
from catalog.web.streaming import cancelled_when_gone
from catalog.web.waiting import PhaseWatch
from catalog.wiring import Catalog

__all__ = ["JOBS_PATH", "routes"]

JOBS_PATH = "/tap/async"
"""Where the job list is, below the base URL."""

_LONGEST_WAIT_S = 50  # proxies usually give up after a minute
_NUMBER = re.compile("-?[0-9]{1,9}")
_FRESH = {"cache-control": "no-cache"}

_Handler = Callable[[Request], Awaitable[Response]]


def routes() -> list[Route]:
    """Routes below the base URL of the TAP service."""
    return [
        _route("/async", GET=job_list, POST=create),
        _route("/async/{id}", GET=job, POST=command, DELETE=delete),
        _route("/async/{id}/phase", GET=phase, POST=set_phase),
        _route("/async/{id}/executionduration", GET=execution_duration, POST=set_execution_duration),
        _route("/async/{id}/destruction", GET=destruction, POST=set_destruction),
        _route("/async/{id}/quote", GET=quote),
        _route("/async/{id}/owner", GET=owner),
        _route("/async/{id}/error", GET=error),
        _route("/async/{id}/results", GET=results),
        _route("/async/{id}/results/{name}", GET=result),
        _route("/async/{id}/parameters", GET=parameters, POST=add_parameters),
        _route("/async/{id}/parameters/{name:path}", GET=parameter),
    ]


def _route(path: str, **handlers: _Handler) -> Route:
    """One address with what each method does; faults name the job."""

    async def handle(request: Request) -> Response:
        handler = handlers["GET" if request.method == "HEAD" else request.method]
        try:
            return await handler(request)
        except CatalogError as fault:
            return fault_response(fault, request=request, job_id=request.path_params.get("id"))

    return Route(path, handle, methods=list(handlers))


# --- the list ------------------------------------------------------------------------------------------------


async def job_list(request: Request) -> Response:
    """The caller's jobs, newest first; PHASE, AFTER and LAST choose among them."""
    pairs = await read_pairs(request)
    values = single_values(pairs, ("AFTER", "LAST"))
    found = await run_in_threadpool(
        partial(
            _jobs(request).list,
            client=lister_of(request),
            phases=[_phase(value) for name, value in pairs if name.upper() == "PHASE"],
            after=_moment(values.get("AFTER")),
            last=_count(values.get("LAST")),
        )
    )
    return _xml(await run_in_threadpool(render_jobs, found, _jobs_url(request)))


async def create(request: Request) -> Response:
    """A new job; PHASE=RUN runs it at once."""
    catalog: Catalog = request.app.state.catalog
    form = await read_form(request, upload_limit_bytes=catalog.settings.tap.upload_limit_bytes)
    try:
        made = await run_in_threadpool(
            partial(_jobs(request).create, with_one_format(form.pairs), client=client_of(request), files=form.files)
        )
    finally:
        form.close()
    return _see_job(request, made)


def _phase(text: str) -> Phase:
    try:
        return Phase(text.strip().upper())
    except ValueError:
        raise ParameterError(f"PHASE is '{text[:40]}'; expected one of {', '.join(Phase)}") from None


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse_time("AFTER", text)


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text.strip()) or int(text) < 0:
        raise ParameterError(f"LAST is '{text[:40]}'; expected a number of jobs")
    return int(text)


# --- one job -------------------------------------------------------------------------------------------------


async def job(request: Request) -> Response:
    """The document of a job; with WAIT not before its phase has changed, or the time is over."""
    values = single_values(await read_pairs(request), ("WAIT", "PHASE"))
    seconds = _seconds(values.get("WAIT"))
    known = _phase(values["PHASE"]) if "PHASE" in values and seconds else None
    found = await _job(request)
    if seconds and found.phase in BLOCKING and known in (None, found.phase):
        await _wait(request, found, seconds)
        found = await _job(request)
    return _xml(await run_in_threadpool(render_job, found, _jobs_url(request)))


def _seconds(text: str | None) -> int:
    """WAIT: whole seconds, or -1 for as long as the service cares."""
    if text is None:
        return 0
    if not _NUMBER.fullmatch(text.strip()) or int(text) < -1:
        raise ParameterError(f"WAIT is '{text[:40]}'; expected whole seconds, or -1")
    return _LONGEST_WAIT_S if int(text) == -1 else min(int(text), _LONGEST_WAIT_S)


async def _wait(request: Request, waited_for: Job, seconds: int) -> None:
    """Wait, without a thread and no longer than the client does."""
    watch: PhaseWatch = request.app.state.phase_watch
    with cancelled_when_gone(request.receive):
        await watch.wait(waited_for.id, waited_for.phase, seconds=seconds)


async def command(request: Request) -> Response:
    """ACTION=DELETE; parameters are not taken here (DALI 1.1 section 2.2)."""
    pairs = await read_pairs(request)
    action = single_values(pairs, ("ACTION",)).get("ACTION")
    if action is not None and action.upper() == "DELETE":
        return await delete(request)
    here = _job_url(request)
    raise ParameterError(
        "a job takes ACTION=DELETE only" if action is None else f"ACTION is '{action[:40]}'; a job takes DELETE only",
        hint=f"Send PHASE to {here}/phase and parameters to {here}/parameters.",
    )


async def delete(request: Request) -> Response:
    """The job and all that belongs to it disappear."""
    await run_in_threadpool(partial(_jobs(request).delete, request.path_params["id"], client=client_of(request)))
    return _see(_jobs_url(request))


async def phase(request: Request) -> Response:
    """Where the job is in its life."""
    return _text((await _job(request)).phase)


async def set_phase(request: Request) -> Response:
    """PHASE=RUN or PHASE=ABORT."""
    wanted = await _value(request, "PHASE")
    if wanted.upper() not in ("RUN", "ABORT"):
        raise ParameterError(f"PHASE is '{wanted[:40]}'; expected RUN or ABORT")
    jobs = _jobs(request)
    move = jobs.run if wanted.upper() == "RUN" else jobs.abort
    return await _changed(request, partial(move, request.path_params["id"], client=client_of(request)))


async def execution_duration(request: Request) -> Response:
    """Seconds that the work may take."""
    return _text(str((await _job(request)).execution_duration))


async def set_execution_duration(request: Request) -> Response:
    """Change it, as far as the service allows."""
    text = await _value(request, "EXECUTIONDURATION")
    change = _jobs(request).set_execution_duration
    return await _changed(request, partial(change, request.path_params["id"], text, client=client_of(request)))


async def destruction(request: Request) -> Response:
    """When the job disappears."""
    return _text(render_time((await _job(request)).destruction))


async def set_destruction(request: Request) -> Response:
    """Change it, as far as the service allows."""
    text = await _value(request, "DESTRUCTION")
    change = _jobs(request).set_destruction
    return await _changed(request, partial(change, request.path_params["id"], text, client=client_of(request)))


async def quote(request: Request) -> Response:
    """When the job will be done: nobody knows."""
    await _job(request)
    return _text("")


async def owner(request: Request) -> Response:
    """Whose job it is; empty for an anonymous one."""
    return _text((await _job(request)).owner or "")


async def error(request: Request) -> Response:
    """What went wrong, as a document with status 200."""
    found = await _job(request)
    if found.error is None:
        raise NotFoundError(f"the job is {found.phase}; there is no error to tell of")
    query = "".join(found.values("QUERY")[:1])
    return fault_response(found.error.to_fault(), request=request, query=query, job_id=found.id, status=200)


# --- results and parameters ----------------------------------------------------------------------------------


async def results(request: Request) -> Response:
    """The list of results; empty before there are any."""
    return _xml(await run_in_threadpool(render_results, await _job(request), _jobs_url(request)))


async def result(request: Request) -> Response:
    """A result, whole or a range of it."""
    found = await _job(request)
    for each in found.results:
        if each.id == request.path_params["name"]:
            return _stored(request, found, each.file, f"{found.id}{_ending(each.file.content_type)}")
    if found.error is not None:
        raise NotFoundError(
            f"the job has no result: {found.error.message}", hint=f"{_job_url(request)}/error says more."
        )
    raise NotFoundError(f"the job is {found.phase}; it has no result of this name")


async def parameters(request: Request) -> Response:
    """The list of parameters."""
    return _xml(await run_in_threadpool(render_parameters, await _job(request), _jobs_url(request)))


async def add_parameters(request: Request) -> Response:
    """More parameters for a job that has not been run."""
    catalog: Catalog = request.app.state.catalog
    form = await read_form(request, upload_limit_bytes=catalog.settings.tap.upload_limit_bytes)
    add = partial(_jobs(request).add_parameters, request.path_params["id"], form.pairs, files=form.files)
    try:
        return await _changed(request, partial(add, client=client_of(request)))
    finally:
        form.close()


async def parameter(request: Request) -> Response:
    """One parameter: its value, or the file that came under its name."""
    found = await _job(request)
    name = request.path_params["name"]
    for each in found.parameters:
        if each.file is not None and each.name == name:
            return _stored(request, found, each.file, name)
    values = found.values(name)
    if not values:
        raise NotFoundError("the job has no parameter of this name")
    return _text("\n".join(values))


def _stored(request: Request, found: Job, file: StoredFile, name: str) -> Response:
    kept = StoredObject(
        size=file.size,
        tag=file.sha256,
        digest=("sha256", file.sha256),
        media_type=file.content_type or "application/octet-stream",
        name=name,
        modified=found.ended or found.created,
        open=lambda start: _jobs(request).open(file, start=start),
    )
    refuse = partial(_refuse, request, found.id)
    return object_response(request, kept, refuse=refuse)


def _refuse(request: Request, job_id: str, problem: Exception) -> Response:
    return fault_response(as_fault(problem), request=request, job_id=job_id)


def _ending(content_type: str) -> str:
    """The ending of a file of this type."""
    try:
        endings: Sequence[str] = parse_format(content_type.partition(";")[0]).extensions
    except ParameterError:
        endings = ()
    return next(iter(endings), "")


# --- for all -------------------------------------------------------------------------------------------------


def _jobs(request: Request) -> JobService:
    catalog: Catalog = request.app.state.catalog
    return catalog.jobs


async def _job(request: Request) -> Job:
    return await run_in_threadpool(partial(_jobs(request).get, request.path_params["id"], client=client_of(request)))


async def _value(request: Request, name: str) -> str:
    value = single_values(await read_pairs(request), (name,)).get(name)
    if value is None:
        raise ParameterError(f"parameter {name} is missing")
    return value


async def _changed(request: Request, change: Callable[[], Job]) -> Response:
    return _see_job(request, await run_in_threadpool(change))


def _jobs_url(request: Request) -> str:
    return public_url(request, JOBS_PATH)


def _job_url(request: Request) -> str:
    return f"{_jobs_url(request)}/{request.path_params['id']}"


def _see_job(request: Request, changed: Job) -> Response:
    return _see(f"{_jobs_url(request)}/{changed.id}")


def _see(url: str) -> Response:
    return Response(status_code=303, headers={"location": url})


def _text(value: str) -> Response:
    return PlainTextResponse(value, headers=_FRESH)


def _xml(document: bytes) -> Response:
    return Response(document, headers=_FRESH, media_type=XML)
