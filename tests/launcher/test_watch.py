"""What is seen of a sweep's jobs while they run, and what is said of those that die."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from tests.results.made import a_record, write_run
from vsd.run import provenance
from vsd.run.cluster import record, slurm, watch
from vsd.run.cluster.job import Job
from vsd.run.cluster.progress import Finished, Pace, Progress, at_once
from vsd.run.cluster.record import Submitted
from vsd.run.cluster.slurm import Status
from vsd.run.cluster.watch import Watched
from vsd.run.report import sweep


@dataclass
class Script:
    """A cluster whose answers are known: those of each job one after the other, the last one for ever."""

    answers: Mapping[str, list[Status]]
    name: str = "slurm"
    asked: list[str] = field(default_factory=list)

    def submit(self, jobs: Sequence[Job], sweep: Path, code: str) -> list[str]:
        raise NotImplementedError

    def check(self, jobs: Sequence[Job]) -> None: ...

    def end(self) -> None: ...

    def log(self, sweep: Path, job: str) -> Path:
        return sweep / ".submitit" / job / f"{job}_0_log.err"

    def statuses(self, jobs: Collection[str]) -> dict[str, Status]:
        found = {}
        for job in jobs:
            self.asked.append(job)
            answers = self.answers.get(job, [])
            if answers:
                found[job] = answers.pop(0) if len(answers) > 1 else answers[0]
        return found


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.0)
    monkeypatch.setattr(watch, "ASK_S", (0.0, 0.0))


RUNNING, PENDING = Status("RUNNING"), Status("PENDING")


def submission(number: int, *, time: str = "then", config: str = "a") -> Submitted:
    words = (f"gamma={number}",)
    told = {"number": number, "time": time, "command": "", "overrides": words, "config": config, "job": f"7_{number}"}
    return Submitted(**told, digest="", code="", commit=None, dirty=False, cluster="slurm")  # type: ignore[arg-type]


def a_job(sweep: Path, number: int, done: bool = True, again: Submitted | None = None) -> Watched:
    """One that has finished a sample, and perhaps was submitted `again` since."""
    first = submission(number)
    folder = write_run(
        sweep / f"{number}",
        [a_record("v", [5], 4.0)],
        {"gamma": number},
        overrides=first.overrides,
        outcome="done" if done else None,
    )
    told = provenance.read(folder)
    provenance.write(folder, {**told, "overrides": [*first.overrides], **provenance.of_submission(first)})
    return Watched(
        number=number,
        sweep=sweep,
        folder=folder,
        overrides=[f"gamma={number}"],
        submitted=again or first,
        job=f"7_{number}",
        total=4,
    )


def watched(jobs: Sequence[Watched], pool: Script) -> str:
    console = Console(width=200, file=io.StringIO())
    watch.watch(jobs, pool, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_dead_jobs_end_nothing_and_are_in_the_table_with_slurm_s_reason(tmp_path: Path) -> None:
    reasons = {1: Status("CANCELLED", "by 1000"), 2: Status("OUT_OF_MEMORY"), 3: Status("FAILED", "exit code 137")}
    jobs = [a_job(tmp_path, number, done=number not in reasons) for number in range(5)]
    answers = {f"7_{number}": [RUNNING, status] for number, status in reasons.items()}
    said = watched(
        jobs, Script({"7_0": [PENDING, RUNNING, Status("COMPLETED")], **answers, "7_4": [Status("COMPLETED")]})
    )
    assert "2 of 5 jobs done, 0 running, 0 queued, 3 failed; 5 of 20 samples" in said
    assert "job 2  gamma=2  failed" in said
    runs = sweep.jobs(tmp_path)
    assert not sweep.ended_well(runs)
    console = Console(width=200, file=io.StringIO())
    console.print(sweep.screen(runs))
    assert isinstance(console.file, io.StringIO)
    for number, status in reasons.items():
        detail = f" ({status.detail})" if status.detail else ""
        assert f"job {number}  Slurm: job 7_{number} ended as {status.state}{detail}" in console.file.getvalue()


def test_a_terminal_shows_it_live(tmp_path: Path) -> None:
    console = Console(width=200, file=io.StringIO(), force_terminal=True)
    pool = Script({"7_0": [RUNNING, RUNNING, Status("COMPLETED")]})
    watch.watch([a_job(tmp_path, 0)], pool, console)
    assert isinstance(console.file, io.StringIO)
    shown = re.sub(r"\x1b\[[\d;?]*\w", "", console.file.getvalue())
    assert "0 of 1 jobs done, 1 running, 0 queued, 0 failed" in shown


def test_a_job_that_is_requeued_is_not_dead(tmp_path: Path) -> None:
    job = a_job(tmp_path, 0)
    watched([job], Script({"7_0": [RUNNING, Status("PREEMPTED"), PENDING, RUNNING, Status("COMPLETED")]}))
    assert not (job.folder / "error.txt").exists()


def test_one_that_slurm_no_longer_knows_has_ended(tmp_path: Path) -> None:
    jobs = [a_job(tmp_path, 0), a_job(tmp_path, 1, done=False)]
    watched(jobs, Script({job.job: [RUNNING, slurm.GONE] for job in jobs}))
    assert [job.failed for job in jobs] == [False, True]
    assert "Slurm: job 7_1 ended as GONE (it has left Slurm's queue" in (jobs[1].folder / "error.txt").read_text()


def test_one_that_was_cancelled_before_it_began_says_so(tmp_path: Path) -> None:
    """Slurm has no account of it: it was one of an array."""
    job = a_job(tmp_path, 0, done=False)
    watched([job], Script({"7_0": [PENDING, slurm.GONE]}))
    assert (
        (job.folder / "error.txt").read_text().startswith("Slurm: job 7_0 left the queue before it began: cancelled?")
    )


@pytest.mark.parametrize("config", ["a", "b"])
def test_numbers_of_an_earlier_submission_are_not_those_of_a_job_that_never_began(config: str, tmp_path: Path) -> None:
    job = a_job(tmp_path, 0, again=replace(submission(0, time="now", config=config), overrides=("gamma=3",)))
    assert "0 of 1 jobs done, 0 running, 0 queued, 1 failed" in watched([job], Script({"7_0": [Status("FAILED")]}))
    assert (job.folder / "error.txt").read_text().startswith("Slurm: job 7_0 ended as FAILED")
    (run,) = sweep.jobs(tmp_path)
    assert (run.state, job.metrics()) == ("failed", None)
    kept = config == "a"  # by which the samples were decoded
    assert run.summary.values.get("samples/done", 0) == (1 if kept else 0)
    assert run.overrides == (("gamma=0",) if kept else ("gamma=3",))
    assert job.finished.count() == (1 if kept else 0)
    assert (job.folder / "samples.jsonl").exists()


def test_a_job_at_work_that_an_earlier_one_has_finished_is_not_done(tmp_path: Path) -> None:
    assert record.is_done(a_job(tmp_path, 0).folder, submission(0))
    assert not record.is_done(tmp_path / "0", submission(0, time="now"))


def test_while_slurm_does_not_answer_nothing_has_ended(tmp_path: Path) -> None:
    job = a_job(tmp_path, 0)
    job.take(RUNNING)
    for _ in range(9):
        job.take(None)
    assert (job.status, job.ended) == (RUNNING, False)


def test_the_reason_of_a_job_that_left_one_stays(tmp_path: Path) -> None:
    job = a_job(tmp_path, 0, done=False)
    (job.folder / "error.txt").write_text("code: must be as it was submitted")
    watched([job], Script({"7_0": [Status("FAILED", "exit code 2")]}))
    assert (job.folder / "error.txt").read_text() == "code: must be as it was submitted"


def test_a_finished_job_is_not_asked_for(tmp_path: Path) -> None:
    done = replace(a_job(tmp_path, 0), job="")
    pool = Script({})
    assert "1 of 1 jobs done" in watched([done], pool)
    assert pool.asked == []


def test_samples_are_counted_as_they_come(tmp_path: Path) -> None:
    provenance.write(tmp_path, {"config": "new", "submitted": {"config": "a"}})
    finished, file = Finished(tmp_path, "a"), tmp_path / "samples.jsonl"
    assert finished.count() == 0
    rows = [{"id": "a", "config": "old"}, {"id": "a", "config": "new"}, {"id": "b", "config": "new"}]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + "not json\n" + '{"id": "c", "conf')
    assert finished.count() == 2
    with file.open("a") as more:
        more.write('ig": "new"}\n' + json.dumps(rows[2]) + "\n")
    assert finished.count() == 3
    assert Finished(tmp_path, "b").count() == 0  # it is another config's job that will begin here


def test_the_pace_is_that_of_the_last_minutes() -> None:
    now = 0.0
    pace = Pace(clock=lambda: now)
    pace.add(0)
    assert pace.a_minute is None
    for now, finished in ((60.0, 6), (6000.0, 6), (6060.0, 12)):  # noqa: B007 - read by the clock
        pace.add(finished)
    assert pace.a_minute == pytest.approx(6)  # this computer slept between
    state = Progress(done=1, running=1, queued=0, failed=0, finished=12, total=24, a_minute=6.0)
    assert state.left == timedelta(minutes=2)
    assert f"{state}" == "1 of 2 jobs done, 1 running, 0 queued, 0 failed; 12 of 24 samples; 6 a minute; 0:02:00 left"


def test_ctrl_c_says_how_to_look_and_how_to_end_them(tmp_path: Path) -> None:
    jobs = [a_job(tmp_path, number) for number in range(6)]
    jobs[3].ended = True
    said = watch.left_alone(jobs, lasting=True)
    assert said.startswith("interrupted: 5 jobs go on in Slurm. squeue --me shows them")
    assert said.endswith("scancel 7_[0-2,4-5]")
    assert "go on in" not in watch.left_alone(jobs, lasting=False)
    assert at_once(["12", "7_1", "7_2", "7_3", "8_0"]) == "12 7_[1-3] 8_[0]"


def test_what_slurm_says(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "sacct": "7_0|COMPLETED|0:0\n7_1|CANCELLED by 1000|0:15\n7_2|FAILED|137:0\n7_3|PREEMPTED|0:0\n"
        "7_[4-5]|PENDING|0:0\n",
        "squeue": "7_3|RUNNING|None\n7_4|PENDING|Resources\n7_5|PENDING|JobArrayTaskLimit\n"
        "7_2|FAILED|NonZeroExitCode\n",
    }
    monkeypatch.setattr(slurm, "_run", lambda command: said.get(command[0]))
    found = slurm.statuses([f"7_{task}" for task in range(7)])
    assert found == {
        "7_0": Status("COMPLETED"),
        "7_1": Status("CANCELLED", "by 1000"),
        "7_2": Status("FAILED", "exit code 137"),
        "7_3": Status("RUNNING"),
        "7_4": Status("PENDING", "Resources"),
        "7_5": Status("PENDING", "JobArrayTaskLimit"),
        "7_6": slurm.GONE,
    }
    said.pop("sacct")  # a cluster without accounting
    assert slurm.statuses(["7_2", "7_0"]) == {"7_2": Status("FAILED", "NonZeroExitCode"), "7_0": slurm.GONE}
    said.clear()  # one that does not answer
    assert slurm.statuses(["7_2"]) == {}
