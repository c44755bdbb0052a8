"""Whatever callers, workers and the clock do in whatever order, a job moves as it may, and ends once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as HypothesisPhase
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from catalog.errors import NotFoundError, PhaseError
from catalog.uws.job import Claim, Client, JobError, Parameter, Progress, Result, StoredFile
from catalog.uws.phase import FINISHED, MOVES, Phase
from catalog.uws.tables import job as job_table

ATTEMPTS = 3
CALLERS = [Client(owner="alice"), Client(owner="bob"), Client(origin="192.0.2.1"), Client()]
PAST = datetime(2001, 1, 1, tzinfo=UTC)


@dataclass
class Known:
    """What the test knows of a job."""

    client: Client
    phase: Phase = Phase.PENDING
    holder: tuple[str, int] | None = None
    attempts: int = 0
    losses: int = 0
    result: str | None = None
    history: list[Phase] = field(default_factory=lambda: [Phase.PENDING])

    def move(self, phase: Phase) -> None:
        assert phase in MOVES[self.phase]
        self.phase = phase
        self.history.append(phase)
        if phase is not Phase.EXECUTING:
            self.holder = None


class Jobs(RuleBasedStateMachine):
    """One store, two workers, callers; and a model that says what must come of each step."""

    house: Any
    jobs = Bundle("jobs")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.store = self.house.store
        self.leases = self.house.leases(attempts=ATTEMPTS, running_per_caller=2)
        self.known: dict[str, Known] = {}
        self.gone: set[str] = set()

    def teardown(self) -> None:
        for job_id in self.known:
            self.store.delete(job_id)

    def at(self, job_id: str) -> Known | None:
        return self.known.get(job_id)

    def held(self, claim: Claim) -> Known | None:
        """The job, if the claim must still hold."""
        known = self.known.get(claim.job.id)
        return known if known and known.holder == (claim.worker, claim.attempt) else None

    @rule(target=jobs, client=st.sampled_from(CALLERS))
    def create(self, client: Client) -> str:
        job_id: str = self.store.create(
            client,
            [Parameter("QUERY", "x")],
            run_id=None,
            execution_duration=60,
            destruction=lambda now: now + timedelta(days=1),
        )
        self.known[job_id] = Known(client)
        return job_id

    @rule(job_id=jobs)
    def queue(self, job_id: str) -> None:
        known = self.at(job_id)
        may = known is not None and known.phase is Phase.PENDING
        assert self.store.queue(job_id) == may
        if known and may:
            known.move(Phase.QUEUED)

    @rule(target=jobs, client=st.sampled_from(CALLERS))
    def submit(self, client: Client) -> str:
        job_id = self.create(client)
        self.queue(job_id)
        return job_id

    @rule(job_id=jobs)
    def refuse(self, job_id: str) -> None:
        known = self.at(job_id)
        may = known is not None and known.phase is Phase.PENDING
        assert self.store.refuse(job_id, JobError("no", "syntax")) == may
        if known and may:
            known.move(Phase.ERROR)

    @rule(job_id=jobs)
    def abort(self, job_id: str) -> None:
        known = self.at(job_id)
        may = known is not None and known.phase not in FINISHED
        assert self.store.abort(job_id) == may
        if known and may:
            known.move(Phase.ABORTED)

    @rule(job_id=consumes(jobs))
    def delete(self, job_id: str) -> None:
        assert self.store.delete(job_id) == (self.at(job_id) is not None)
        self.known.pop(job_id, None)
        self.gone.add(job_id)

    @rule(job_id=jobs)
    def change(self, job_id: str) -> None:
        known = self.at(job_id)
        if known is None:
            with pytest.raises(NotFoundError):
                self.store.change_pending(job_id, run_id="r")
        elif known.phase is not Phase.PENDING:
            with pytest.raises(PhaseError):
                self.store.change_pending(job_id, run_id="r")
        else:
            self.store.change_pending(job_id, run_id="r")

    @rule(target=claims, worker=st.sampled_from(["one", "two"]))
    def claim(self, worker: str) -> Any:
        claim = self.leases.claim(worker)
        running = dict.fromkeys(CALLERS, 0)
        for known in self.known.values():
            running[known.client] += known.phase is Phase.EXECUTING
        ready = [
            known
            for known in self.known.values()
            if known.phase is Phase.QUEUED and (known.client.key is None or running[known.client] < 2)
        ]
        assert (claim is None) == (not ready)
        if claim is None:
            return None
        known = self.known[claim.job.id]
        assert known in ready
        assert claim.attempt > known.attempts
        fewest = min(0 if each.client.key is None else running[each.client] for each in ready)
        assert (0 if known.client.key is None else running[known.client]) == fewest
        known.move(Phase.EXECUTING)
        known.holder, known.attempts = (worker, claim.attempt), claim.attempt
        return claim

    @rule(claim=claims)
    def renew(self, claim: Claim | None) -> None:
        if claim:
            self.leases.renew({claim: Progress(5)})

    @rule(claim=claims)
    def complete(self, claim: Claim | None) -> None:
        if claim is None:
            return
        known = self.held(claim)
        path = f"{claim.job.id}/result-{claim.attempt}"
        before = self.at(claim.job.id)
        is_mine = before is not None and before.result == path  # said once more: the first answer may have been lost
        result = Result("result", StoredFile(path, 1, "00", "text/csv"))
        assert self.leases.complete(claim, [result]) == (known is not None or is_mine)
        if known:
            known.move(Phase.COMPLETED)
            known.result = path

    @rule(claim=claims, phase=st.sampled_from([Phase.ERROR, Phase.ABORTED]))
    def fail(self, claim: Claim | None, phase: Phase) -> None:
        if claim is None:
            return
        known = self.held(claim)
        assert self.leases.fail(claim, JobError("broke", "x"), phase=phase) == (known is not None)
        if known:
            known.move(phase)

    @rule(claim=claims)
    def hand_back(self, claim: Claim | None) -> None:
        if claim is None:
            return
        known = self.held(claim)
        assert self.leases.hand_back(claim) == (known is not None)
        if known:
            known.move(Phase.QUEUED)

    @rule(job_id=jobs)
    def lose(self, job_id: str) -> None:
        """The lease of a job runs out."""
        self.house.write(
            job_table.update()
            .where(job_table.c.id == job_id, job_table.c.phase == Phase.EXECUTING)
            .values(lease_until=PAST)
        )
        known = self.at(job_id)
        is_lost = known is not None and known.phase is Phase.EXECUTING
        assert self.leases.recover() == is_lost
        if known and is_lost:
            known.losses += 1
            known.move(Phase.QUEUED if known.losses < ATTEMPTS else Phase.ERROR)

    @rule()
    def recover_nothing(self) -> None:
        assert self.leases.recover() == 0

    @rule(job_id=consumes(jobs))
    def destroy(self, job_id: str) -> None:
        """The time of destruction comes: the job is gone at once, and swept away later."""
        self.house.write(job_table.update().where(job_table.c.id == job_id).values(destruction_at=PAST))
        with pytest.raises(NotFoundError):
            self.store.read(job_id)
        assert self.store.due(10) == ([job_id] if job_id in self.known else [])
        self.store.delete(job_id)
        self.known.pop(job_id, None)
        self.gone.add(job_id)

    @invariant()
    def every_job_is_where_it_must_be(self) -> None:
        assert self.store.phases([*self.known, *self.gone]) == {
            job_id: each.phase for job_id, each in self.known.items()
        }
        for worker in ("one", "two"):
            mine = {(i, each.holder[1]) for i, each in self.known.items() if each.holder and each.holder[0] == worker}
            assert self.leases.held(worker) == mine

    @invariant()
    def only_what_is_completed_has_a_result(self) -> None:
        for job_id, known in self.known.items():
            found = self.store.read(job_id)
            paths = [result.file.path for result in found.results]
            assert paths == ([known.result] if known.phase is Phase.COMPLETED else [])
            assert (found.ended is not None) == (known.phase in FINISHED)
            assert not set(known.history[:-1]) & FINISHED
            if known.phase is Phase.ERROR:
                assert found.error is not None


def test_jobs_move_as_they_may(house: Any) -> None:
    machine: Callable[[], Jobs] = type("JobsHere", (Jobs,), {"house": house})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            phases=(HypothesisPhase.explicit, HypothesisPhase.generate, HypothesisPhase.shrink),
        ),
    )
