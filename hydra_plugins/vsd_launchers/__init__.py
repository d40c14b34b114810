"""vsd's launchers, where Hydra finds them: it takes plugins of the package hydra_plugins alone.

Any Hydra program of the same environment imports this, so nothing of vsd is imported before a launch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class _VsdLauncher(Launcher):
    """Each job of a multirun is a process of its own: see `vsd.run.cluster.launcher`."""

    cluster: ClassVar[str]

    def __init__(self, **params: Any) -> None:
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from vsd.run.cluster.launcher import launch

        return launch(
            self.cluster,
            self.params,
            job_overrides,
            initial_job_idx,
            context=self.context,
            task=self.task,
            config=self.config,
        )


class SlurmLauncher(_VsdLauncher):
    cluster = "slurm"


class LocalLauncher(_VsdLauncher):
    cluster = "local"
