"""From a config to a finished run folder. `run` reads as the run goes; `main` turns its end into an exit code."""

from __future__ import annotations

import atexit
import json
import logging
import platform
import shutil
import signal
import sys
import tempfile
import traceback
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vsd.run import check, disk, locks, provenance
from vsd.run.foreign import foreign_place
from vsd.run.swept import left
from vsd.types import MethodError
from vsd.utils import distributed, termination
from vsd.utils.validation import first_line, reason

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
    from lightning.pytorch.loggers import Logger

    from vsd.data.base import Source
    from vsd.engine import Engine
    from vsd.executors import Executor
    from vsd.metrics.record import Record
    from vsd.models import Checkpoint, VideoLM
    from vsd.parallelism import Parallelism
    from vsd.run.baselines import BaselineCache
    from vsd.run.check_memory import Measure
    from vsd.run.report.folder import RunFolder
    from vsd.run.tracking.tracker import Tracker
    from vsd.types import Sample
    from vsd.video.apart import ReaderProcess

log = logging.getLogger(__name__)


@cache
def throwaway() -> str:
    """A folder that is gone when this process ends: for what a dry run, and all ranks but the first, would leave."""
    folder = tempfile.mkdtemp(prefix="vsd-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


# Two runs that start in the same second must not share a folder.
OmegaConf.register_new_resolver("unique", lambda: uuid.uuid4().hex[:6], use_cache=True, replace=True)
OmegaConf.register_new_resolver(
    "job_folder", lambda out, dry: throwaway() if dry or distributed.rank() > 0 else out, replace=True
)


class UsageError(ValueError):
    """A mistake of the user's: shown as its message alone, exit code 2."""


class NothingDone(RuntimeError):  # noqa: N818 - an outcome
    """No sample could be decoded: exit code 1."""


def main(cfg: DictConfig) -> dict[str, float] | None:
    """One Hydra job. Exit codes: 0 done, 1 failed, 2 refused, 130 interrupted, 143 ended by SIGTERM.

    In a multirun a failing job leaves error.txt instead, so that the others still run, unless it could not write.
    """
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    multirun = hydra.mode == RunMode.MULTIRUN
    logging.raiseExceptions = False  # a log that cannot be written is no news: samples.jsonl says it
    if distributed.rank() > 0:
        logging.disable(logging.WARNING)  # rank 0 has said it
    try:
        with disk.room(folder), termination.listening(*_ends()):
            given: Any = OmegaConf.to_container(hydra.overrides, resolve=False)
            if not multirun and (names := left(hydra.sweeper.get("params"), given["task"])):
                log.warning("-m: must be given for this experiment's sweep over %s: this is one run", ", ".join(names))
            return run(cfg, folder, overrides=given["task"], brief=multirun)
    except KeyboardInterrupt as error:
        out = hydra.sweep.dir if multirun else folder
        if distributed.rank() == 0 and not cfg.dry_run:
            said = f"ended by {error}" if isinstance(error, termination.Terminated) else "\ninterrupted"
            print(f"{said}: finished samples are kept; the same command with out={out} goes on", file=sys.stderr)
        sys.exit(termination.exit_code(error))
    except (UsageError, NothingDone, MethodError, disk.CannotWrite) as error:
        leave_error(folder, f"{error}")
        if distributed.rank() == 0:
            print(f"error: {error}", file=sys.stderr)
        # Where this job could not write, the next one could not either.
        if not multirun or isinstance(error, disk.CannotWrite):
            sys.exit(2 if isinstance(error, UsageError) else 1)
    except Exception as error:
        place = foreign_place(error)
        said = f"{reason(error.__cause__ or error)} ({place})" if place else f"{type(error).__name__}: {error}"
        leave_error(folder, f"{said}\n\n{''.join(traceback.format_exception(error))}")
        if place and distributed.count() == 1:  # whose code it is knows what to do with its line
            print(f"error: {said}; {folder / 'error.txt'} has the traceback", file=sys.stderr)
            if not multirun:
                sys.exit(1)
        elif not multirun or distributed.count() > 1:  # the other processes may not have failed, and would wait
            raise
        else:
            log.exception("this job failed; the others go on")
    return None


def _ends() -> tuple[signal.Signals, ...]:
    """The signals that end a job as Ctrl-C does. Not under torchrun, which ends processes that wait for each other."""
    return (signal.SIGTERM,) if distributed.count() == 1 else ()


def run(cfg: DictConfig, folder: Path, *, overrides: Sequence[str] = (), brief: bool = False) -> dict[str, float]:
    """Check, load, decode what is not decoded yet, report. Returns the metrics.

    `cfg` as Hydra composes it, `folder` takes the files, `overrides` are the command line's. A `brief` run has no
    screen of its own, unless report=full asks for it: a multirun says a line of each. Raises UsageError before
    any weight is loaded if the config cannot run, NothingDone if no sample could be decoded.
    """
    if cfg.dry_run:
        return _with_reader(cfg, partial(_dry_run, cfg, overrides=overrides, brief=brief))
    with _usage_errors():
        disk.check_folder(folder, field="out")
    with _alone(folder, str(cfg.shard)), provenance.job(folder, str(cfg.shard), overrides) as told:
        return _with_reader(cfg, partial(_run, cfg, folder, overrides=overrides, told=told, brief=brief))


@contextmanager
def _alone(folder: Path, shard: str) -> Iterator[None]:
    """Within, no other job decodes this shard into this folder: samples would be there twice. Raises UsageError if one
    does."""
    if distributed.rank() > 0:
        yield
        return
    with _usage_errors():
        lock = locks.claimed(folder, f".shard-{shard.replace('/', '-of-')}", field="out")
    with lock:
        yield


def _with_reader(cfg: DictConfig, work: Callable[..., dict[str, float]]) -> dict[str, float]:
    """Do what needs a process that reads videos."""
    with _usage_errors():
        check.check_video(cfg.video)
    from vsd.video.apart import ReaderProcess

    with closing(ReaderProcess(**cfg.video)) as reader:
        return work(reader=reader)


@cache
def _say_if_busy() -> None:
    """Once, by the first run of this process: later ones would hear of the earlier."""
    from vsd.run import notices

    for notice in notices.busy_machine() if distributed.rank() == 0 else ():
        log.warning(notice)


def _dry_run(cfg: DictConfig, *, reader: ReaderProcess, overrides: Sequence[str], brief: bool) -> dict[str, float]:
    """All that comes before the weights, a look at every video and question, and what the run would take. Nothing is
    written. Returns the seconds, if they can be said."""
    from rich.console import Console
    from rich.progress import track

    from vsd.models import hardware
    from vsd.run.dry_run.gpus import gpus_of

    with _usage_errors():
        distributed.check_slurm()
        distributed.join()
        disk.check_folder(cfg.out, field="out", make=False)
        check.check_dials(cfg)
        gpus = gpus_of(cfg.dry_run)
        if gpus is not None and not cfg.target.device.startswith("cuda"):
            raise ValueError(f"device: must be cuda where GPUs are named (dry_run={cfg.dry_run}), got {cfg.device!r}")
        with hardware.planned(gpus):
            methods, samples, _ = prepare(cfg, overrides, measure=reader.measure)
            from vsd.run.dry_run.plan import plan
            from vsd.run.dry_run.screen import screen
            from vsd.run.dry_run.seconds import Duration

            found = plan(
                cfg,
                methods,
                samples,
                uses_draft=_uses_draft(methods),
                measure=reader.measure,
                gpus=gpus,
                finished=_finished(cfg, methods, samples),
                progress=partial(track, description="videos", transient=True, disable=distributed.rank() > 0),
            )
    if distributed.rank() == 0:
        given = any(override.startswith("out=") for override in overrides)
        out = "" if brief else cfg.out if given else f"a new folder below {Path(cfg.out).parent}"
        Console().print(screen(found, out))
    return {"dry_run/seconds": found.duration.total_s} if isinstance(found.duration, Duration) else {}


def _finished(cfg: DictConfig, methods: dict[str, Any], samples: Sequence[Sample]) -> frozenset[str]:
    """The samples that are in the run's folder already, by id."""
    from vsd.run.report.folder import RunFolder, config_hash

    before = RunFolder(Path(cfg.out), config_hash(cfg, weights=_weights(cfg, methods))).records()
    return frozenset(each.id for each in samples if each.id in before and _serves(before[each.id], each))


def _run(
    cfg: DictConfig,
    folder: Path,
    *,
    reader: ReaderProcess,
    overrides: Sequence[str],
    told: Mapping[str, Any],
    brief: bool,
) -> dict[str, float]:
    from vsd.utils import faults

    with _usage_errors():
        distributed.check_slurm()
        distributed.join()
        cfg = _resolved_later(cfg, folder)
        _forget_earlier_jobs()
        faults.warn_once.cache_clear()
        methods, samples, source = prepare(cfg, overrides, measure=reader.measure)
    _say_if_busy()

    from vsd.metrics import summarise
    from vsd.run import memory
    from vsd.run.report import terminal
    from vsd.run.report.folder import RunFolder, config_hash

    run_folder = RunFolder(folder, config_hash(cfg, weights=_weights(cfg, methods)))
    run_folder.open(cfg, {**told, "hardware": provenance.hardware()})
    before = run_folder.records()
    earlier = [before[sample.id] for sample in samples if sample.id in before and _serves(before[sample.id], sample)]
    if not before and run_folder.holds_others():
        log.warning("out: %s holds samples of another config or of other weights; they stay, none is reused", folder)
    done = distributed.from_rank0(lambda: {record.sample.id for record in earlier})
    todo = [sample for sample in samples if sample.id not in done]
    records = [*earlier]
    if earlier:
        log.info("%d of %d samples are in %s already", len(earlier), len(samples), folder)
    logger = _logger(cfg)
    with _tracked(logger, cfg, folder, overrides, earlier) as tracker:
        interrupted = False
        try:
            if todo:
                memory.reset_peak()
                decode(cfg, methods, todo, run_folder, records, reader=reader, source=source, logger=logger)
            elif tracker:
                tracker.begin()
        except KeyboardInterrupt:
            interrupted = True
            raise
        finally:
            summary = summarise(records)
            run_folder.write_metrics(summary.flat())
            if tracker:
                tracker.end(records, summary, at_once=interrupted)
        if distributed.rank() > 0:
            return summary.values
        if not brief or cfg.report == "full":
            terminal.show(records, summary, folder, verifier=methods["verifier"], full=cfg.report == "full")
        if not summary.values["samples/done"]:
            raise NothingDone(f"no sample could be decoded; the first failed with: {records[0].failure}")
    return summary.values


def _logger(cfg: DictConfig) -> Logger | Tracker | None:
    """What the numbers are logged by, on rank 0."""
    if distributed.rank() > 0 or not cfg.logger.get("_target_"):
        return None
    with _usage_errors():
        logger: Logger | Tracker = instantiate(cfg.logger)
    return logger


@contextmanager
def _tracked(
    logger: Logger | Tracker | None,
    cfg: DictConfig,
    folder: Path,
    overrides: Sequence[str],
    earlier: Sequence[Record],
) -> Iterator[Tracker | None]:
    """Within, the run works; how it ends is how it ends in W&B too, if that is its logger. One that is refused is not
    there at all, unless it has samples of before (`earlier`)."""
    if logger is None:
        yield None
        return
    from vsd.run.tracking.tracker import Tracker

    if not isinstance(logger, Tracker):
        yield None
        return
    from vsd.run.results.run import load_run

    # Another shard may write its config into the same folder.
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    logger.follow(replace(load_run(folder), config=config, overrides=(*overrides,), records=(*earlier,)))
    try:
        yield logger
    except UsageError as error:
        if logger.begun:
            _close(logger, 1, reason(error))
        raise
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)
        _close(logger, 130 if interrupted else 1, "" if interrupted else reason(error))
        raise
    _close(logger, 0)


def _close(tracker: Tracker, exit_code: int, why: str = "") -> None:
    tracker.close(exit_code, why)
    if tracker.where:
        print(tracker.where)


def _serves(record: Record, sample: Sample) -> bool:
    """Whether this record is of this very sample and finished: the same question, reference and facts under its id, and
    the same video file, or none any more."""
    from vsd.utils.fingerprint import file_stamp

    same, other = (json.loads(json.dumps(asdict(item))) for item in (record.sample, sample))
    return record.done and same == other and file_stamp(sample.video) in ("", record.video_stamp)


def _uses_draft(methods: Mapping[str, Any]) -> bool:
    """Whether these methods ask a draft model."""
    return bool(methods["parallelism"].drafts and methods["drafter"].needs_model)


def _needs(cfg: DictConfig, methods: Mapping[str, Any]) -> frozenset[str]:
    """The evidence of the target's layers that a run asks for."""
    pruner = methods["pruner"].needs if _uses_draft(methods) else frozenset()
    drafter = methods["drafter"].needs if methods["parallelism"].drafts else frozenset()
    needs = frozenset(pruner | methods["verifier"].needs | drafter)
    return (needs - {"relevance"}) | {instantiate(cfg.relevance).need}


def _profile(executor: Executor) -> str:
    """Step times of a simulated run: a file, or devices; empty where times are measured."""
    return getattr(executor, "profile", "")


def _forget_earlier_jobs() -> None:
    """Free the models of a multirun's earlier jobs, which only the collector can: Lightning's objects refer to each
    other in circles."""
    if "torch" in sys.modules:
        from vsd.run import memory

        memory.release()


def _weights(cfg: DictConfig, methods: dict[str, Any]) -> list[list[str]]:
    """What identifies the checkpoints that this run decodes with."""
    from vsd.models import resolve
    from vsd.utils.fingerprint import file_identity, weights_identity

    roles = ("target", "draft") if _uses_draft(methods) else ("target",)
    files = [file for file in (cfg.draft_vocab, _profile(methods["executor"])) if file]
    return [*(weights_identity(resolve(cfg[role].path)) for role in roles), *([file_identity(file)] for file in files)]


def prepare(
    cfg: DictConfig, overrides: Sequence[str], *, measure: Measure | None = None
) -> tuple[dict[str, Any], list[Sample], Source]:
    """All that can be refused without weights; cheapest first. Returns the methods by group, the samples, and the data
    set that they are of.

    `measure` gives the number, height and width of a video's frames (default: `vsd.video.measure`).
    """
    check.check_dials(cfg)
    if cfg.baseline == "cache":
        disk.check_folder(cfg.baseline_folder, field="baseline_folder", make=not cfg.dry_run)
    from vsd import video
    from vsd.data.base import check_samples, select
    from vsd.parallelism.base import check_drafter

    _as_typed(cfg, overrides)
    source = instantiate(cfg.data)
    try:
        listed = source.samples()
    except OSError as error:
        raise ValueError(f"data: its files must be readable, got {error}") from error
    samples = select(check_samples(listed), cfg.limit, cfg.shard)
    if not samples:
        raise ValueError(f"shard: must leave this job a sample, got {cfg.shard!r} (limit={cfg.limit})")
    check.check_fields(cfg)
    methods = {group: instantiate(cfg[group]) for group in check.METHODS}
    uses_draft = _uses_draft(methods)
    check.check_methods(cfg, uses_draft=uses_draft, lossless=methods["verifier"].lossless)
    if methods["parallelism"].drafts:
        check_drafter(methods["drafter"], methods["parallelism"], methods["verifier"])
    shared = {role: bool(cfg[role].get("tp_plan")) for role in ("target", "draft")}
    check.check_ranks(methods["parallelism"], methods["executor"], methods["drafter"], **shared)
    if uses_draft:
        _place_draft(cfg, methods["parallelism"], methods["executor"])
    check.check_models(
        cfg,
        uses_draft=uses_draft,
        needs=_needs(cfg, methods),
        samples=samples,
        kept=1 - methods["pruner"].ratio,
        remote=methods["executor"].remote,
        measure=measure or video.measure,
    )
    for notice in _notices(cfg, methods, overrides, uses_draft=uses_draft):
        log.warning(notice)
    return methods, samples, source


def _notices(
    cfg: DictConfig, methods: Mapping[str, Any], overrides: Sequence[str], *, uses_draft: bool
) -> Iterator[str]:
    """What is said before the run, though nothing is refused."""
    from vsd.run import notices

    parallelism, executor = methods["parallelism"], methods["executor"]
    yield from notices.unused_dials(cfg, overrides, drafts=parallelism.drafts, uses_draft=uses_draft)
    if uses_draft and executor.remote:
        yield from notices.shared_gpus(cfg)
    if uses_draft and parallelism.overlaps and executor.concurrent and not executor.simulated:
        yield from notices.crowded_cores(cfg, executor)
    if parallelism.drafts and (idle := methods["verifier"].idle(methods["drafter"].depth(cfg.gamma))):
        yield idle


def _as_typed(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Give data.path and data.question the text of the command line where YAML has made a number of it."""
    given = dict(override.lstrip("+").split("=", 1) for override in overrides if "=" in override)
    for name in ("path", "question"):
        typed = given.get(f"data.{name}")
        if typed is not None and isinstance(cfg.data.get(name), (int, float)):
            cfg.data[name] = typed


def _place_draft(cfg: DictConfig, parallelism: Parallelism, executor: Executor) -> None:
    """Give the draft a GPU of its own if the two work at once, there are several and nobody has placed them."""
    from vsd.models import hardware
    from vsd.models.placement import draft_device

    given: Any = OmegaConf.to_container(cfg.draft, resolve=False)
    spread = any(cfg[role].get(name) for role in ("target", "draft") for name in ("device_map", "tp_plan"))
    device = draft_device(
        cfg.target.device,
        cfg.draft.device,
        gpus=hardware.gpu_count(),
        at_once=parallelism.overlaps and executor.concurrent and not executor.simulated,
        chosen=given["device"] not in ("${device}", "${target.device}") or spread or distributed.count() > 1,
    )
    if device != cfg.draft.device:
        log.info("draft.device: %s, a GPU of its own, since target and draft work at once", device)
        cfg.draft.device = device


def decode(
    cfg: DictConfig,
    methods: dict[str, Any],
    samples: Sequence[Sample],
    folder: RunFolder,
    records: list[Record],
    *,
    reader: ReaderProcess,
    source: Source,
    logger: Logger | Tracker | None,
) -> None:
    """Load the models and run Lightning's test loop over the samples, whose videos `reader` reads; every finished one
    is written to the folder, and then logged.

    `records` begins with this run's samples that an earlier one finished, which count in what is logged; the others are
    added to it one by one. `source` is the data set, which scores the answers.
    """
    from lightning.pytorch import seed_everything

    from vsd.data.datamodule import VideoData
    from vsd.data.scoring import fact_spans_of, scorer_of
    from vsd.run.callbacks.sample_log import SampleLog
    from vsd.run.machine import MachineMeter
    from vsd.run.task import DecodeTask
    from vsd.run.tracking.tracker import Tracker

    warnings.filterwarnings("ignore", message=".*treespec", module="lightning")
    warnings.filterwarnings("ignore", message=".*`srun` command is available", module="lightning")
    # Which accelerators Lightning could have used would only mislead: the engine has devices of its own.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    seed_everything(cfg.seed, verbose=False)
    engine = build_engine(cfg, methods)
    task = DecodeTask(
        engine,
        baseline=engine.baseline() if cfg.baseline else None,
        cache=_cache(cfg, engine) if cfg.baseline == "cache" else None,
        meter=MachineMeter() if cfg.baseline == "cache" and not methods["executor"].simulated else None,
        records=records,
        scorer=scorer_of(source),
        fact_spans=fact_spans_of(source),
        seed=cfg.seed,
        devices=engine.target.devices,
    )
    speaks, tracker = distributed.rank() == 0, logger if isinstance(logger, Tracker) else None
    written = SampleLog(folder, then=tracker.add if tracker else None)
    callbacks = [written, *(instantiate(item) for item in cfg.callbacks.values() if item)] if speaks else []
    trainer = instantiate(
        cfg.trainer,
        logger=False if logger is None or tracker else logger,
        callbacks=callbacks,
        default_root_dir=str(folder.path),
        **({} if speaks else {"enable_progress_bar": False}),
    )
    try:
        if isinstance(logger, Tracker):
            logger.begin()
        elif logger is not None:
            dials: Any = OmegaConf.to_container(cfg, resolve=True)
            logger.log_hyperparams(dials)
        read = partial(reader.read, scaling=engine.scaling())
        _test(trainer, task, VideoData(samples, cfg.frames, read=read))
    finally:
        engine.close()


def _checkpoint(option: DictConfig, field: str, tokens: Sequence[int] = ()) -> Checkpoint:
    """The model of this option, still to be loaded."""
    from vsd.models import Checkpoint

    where = {str(name): _plain(value) for name, value in option.items() if name != "_target_"}
    return Checkpoint(**where, field=field, tokens=tuple(tokens))


def _draft(cfg: DictConfig, target: VideoLM | Checkpoint) -> VideoLM | Checkpoint:
    """The draft of this config; it is still to be loaded if the target is."""
    from vsd.models import Checkpoint, computing, read_draft_vocab, same_weights

    tokens = read_draft_vocab(cfg.draft_vocab) if cfg.draft_vocab else []
    if isinstance(target, Checkpoint):
        return _checkpoint(cfg.draft, "draft", tokens)
    if not same_weights(cfg.draft, cfg.target):
        draft: VideoLM = instantiate(cfg.draft, field="draft")
    else:
        draft = target if cfg.draft == cfg.target else target.computed_by(**computing(cfg.draft))
    return draft.trim(tokens) if tokens else draft


def build_engine(cfg: DictConfig, methods: dict[str, Any]) -> Engine:
    """Load the models and put the engine together. A draft that is the target but for how it computes shares its
    weights."""
    from vsd.engine import Engine

    with _usage_errors():
        remote = _uses_draft(methods) and methods["executor"].remote
        target = _checkpoint(cfg.target, "target") if remote else instantiate(cfg.target, field="target")
        return Engine(
            target=target,
            draft=_draft(cfg, target) if _uses_draft(methods) else None,
            gamma=cfg.gamma,
            max_new_tokens=cfg.max_new_tokens,
            positions=cfg.positions,
            share_vision=cfg.share_vision,
            relevance=instantiate(cfg.relevance),
            **methods,
        )


def _test(trainer: Trainer, task: Any, data: Any) -> None:
    """Trainer.test, but Ctrl-C stays a KeyboardInterrupt: Lightning turns it into exit code 1 and stops listening."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.test(task, datamodule=data, verbose=False)
    except SystemExit:
        signal.signal(signal.SIGINT, handler)
        raise termination.interruption() from None


def _cache(cfg: DictConfig, engine: Engine) -> BaselineCache:
    """Where baselines of this engine's target are kept."""
    from vsd.models import resolve
    from vsd.run.baselines import BaselineCache
    from vsd.run.provenance import git_state, hardware, packages
    from vsd.utils.fingerprint import file_identity, weights_identity

    setting = {
        "packages": packages(),
        "git": git_state(Path(__file__).parent),
        "target": weights_identity(resolve(cfg.target.path)),
        "vocab": engine.target.vocab,  # as many tokens as its draft leaves it
        "rule": repr(engine.verifier.alone()),
        "times": file_identity(profile) if (profile := _profile(engine.executor)) else "measured",
        "model": {str(name): _plain(value) for name, value in cfg.target.items() if name not in ("_target_", "path")},
        **{dial: cfg[dial] for dial in ("frames", "max_new_tokens", "seed")},
        "hardware": hardware(),
        "host": platform.node(),
    }
    return BaselineCache(folder=Path(cfg.baseline_folder), setting=setting)


def _plain(value: Any) -> Any:
    """The value without OmegaConf's containers."""
    return OmegaConf.to_container(value, resolve=True) if isinstance(value, DictConfig) else value


def _resolved_later(cfg: DictConfig, folder: Path) -> DictConfig:
    """The config with `out` set to the folder that Hydra made, which in a multirun is the job's own."""
    cfg = cfg.copy()
    cfg.out = str(folder)
    return cfg


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Turn what checks and constructors refuse into UsageError."""
    try:
        yield
    except InstantiationException as error:
        if not isinstance(error.__cause__, ValueError):
            raise
        raise UsageError(str(error.__cause__)) from error
    except OmegaConfBaseException as error:
        raise UsageError(first_line(error)) from error
    except ValueError as error:
        raise UsageError(str(error)) from error


def leave_error(folder: Path, message: str) -> None:
    """Write why the job in this folder failed, if that can be written."""
    with suppress(OSError):  # the disk may be what failed
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "error.txt").write_text(message + "\n", encoding="utf-8", errors="backslashreplace")
