"""The processes that share a tensor-parallel model: torchrun starts them, and each runs the whole program on its share.

They stay together because all of them compute the same logits. What could come out differently all the same, by the
clock or by the order of a sum on a GPU, is what rank 0 says, broadcast to the others. Rank 0 alone writes and speaks.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from torch import Tensor

_T = TypeVar("_T")
_LONG = timedelta(hours=2)  # to load the weights of a large model
_talk: Any = None  # the process group of what rank 0 broadcasts, on the CPU


def count() -> int:
    """How many processes torchrun started; 1 without it."""
    return _number("WORLD_SIZE", 1)


def rank() -> int:
    """Which of them this one is; 0 without torchrun."""
    return _number("RANK", 0)


def local() -> int:
    """Which of those on this machine, and so which GPU is its own."""
    return _number("LOCAL_RANK", 0)


def check_slurm() -> None:
    """Refuse several tasks of one Slurm job, which would all run the same program. As in Lightning, a job named bash or
    interactive is a shell in which processes are started by hand."""
    tasks = os.environ.get("SLURM_NTASKS", "1")
    by_hand = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    if tasks != "1" and not by_hand and "TORCHELASTIC_RUN_ID" not in os.environ:
        raise ValueError(
            f"SLURM_NTASKS: must be 1, one process a job (srun -n1; shard=i/n divides the samples among jobs, torchrun "
            f"in the one task starts a process per GPU), got {tasks}"
        )


def join() -> None:
    """Meet the other processes, once; nothing without torchrun. Each binds a GPU of its own if there are any."""
    global _talk
    if count() == 1 or _talk is not None:
        return
    import torch
    from torch import distributed as dist

    gpus, here = torch.cuda.device_count(), _number("LOCAL_WORLD_SIZE", count())
    if 0 < gpus < here:  # before they meet: some would wait for others that cannot come
        raise ValueError(f"--nproc-per-node: must be at most the number of GPUs, {gpus}, got {here}")
    gpu = torch.device("cuda", local()) if gpus else None
    if not dist.is_initialized():
        if gpu is not None:
            torch.cuda.set_device(gpu)
        dist.init_process_group("gloo" if gpu is None else "nccl", device_id=gpu, timeout=_LONG)
        atexit.register(dist.destroy_process_group)
    _talk = dist.new_group(backend="gloo", timeout=_LONG)


def from_rank0(call: Callable[[], _T]) -> _T:
    """What rank 0's call returns or raises, on every rank; a tensor comes back on the CPU. The others do not call.

    Without torchrun just the call.
    """
    if count() == 1:
        return call()
    import torch
    from torch import distributed as dist

    join()
    result: list[Any] = [None, None]
    if rank() == 0:
        try:
            result[0] = call()
        except Exception as error:
            result[1] = error
    if isinstance(result[0], torch.Tensor):
        result[0] = result[0].cpu()
    dist.broadcast_object_list(result, src=0, group=_talk, device=torch.device("cpu"))
    if result[1] is not None:
        raise result[1]
    return cast(_T, result[0])


def together(call: Callable[[], _T]) -> _T:
    """What this rank's own call returns, if every rank's returns; else the first rank's SampleError on all of them.

    An error of another kind is raised where it came up, and ends the run.
    """
    if count() == 1:
        return call()
    from torch import distributed as dist

    from vsd.types import SampleError

    result, failure = None, None
    try:
        result = call()
    except SampleError as error:
        failure = str(error)
    failures: list[str | None] = [None] * count()
    join()
    dist.all_gather_object(failures, failure, group=_talk)
    for message in failures:
        if message is not None:
            raise SampleError(message)
    return cast(_T, result)


def whole(weight: Tensor) -> Tensor:
    """All of a weight, on every rank. A weight that is no process's share (`torch.distributed.tensor`, which takes a
    second to import) is returned as it is."""
    full: Callable[[], Tensor] | None = getattr(weight, "full_tensor", None)
    return weight if full is None else full()


def _number(name: str, default: int) -> int:
    return int(os.environ[name]) if "TORCHELASTIC_RUN_ID" in os.environ and name in os.environ else default
