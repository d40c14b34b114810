"""vsd's launchers as Hydra's plugins.

Hydra takes plugins of a package named hydra_plugins alone, which every Hydra program of an environment imports. So this
module is known under such a name, and only to a program that registers it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, ClassVar

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

PACKAGE = "hydra_plugins"


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


def register() -> None:
    """Let Hydra know the launchers that conf/hydra/launcher names."""
    plugins = Plugins.instance()  # looks for plugins of others, which share the package
    name = f"{PACKAGE}.vsd_launchers"
    sys.modules.setdefault(PACKAGE, ModuleType(PACKAGE))
    sys.modules[name] = sys.modules[__name__]
    for each in (SlurmLauncher, LocalLauncher):
        each.__module__ = name
        plugins.register(each)
