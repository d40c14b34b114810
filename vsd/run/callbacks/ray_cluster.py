"""Hydra's callback around a multirun on Ray: joins the cluster, or starts Ray on this node, without its chatter."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from vsd.utils.validation import is_number, reason

QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent anywhere
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a job without a GPU sees none; unset, Ray says that this may change
    "RAY_COLOR_PREFIX": "0",
    "RAY_DEDUP_LOGS": "0",  # lines of different jobs are not the same line
}
"""Of this process, and so of the workers of a Ray that it starts."""
CONNECT_S = 10.0


class RayCluster(Callback):
    """Under `hydra/launcher=ray`: refuses what cannot run, in one line with exit code 2, and starts or joins Ray before
    the launcher would. What it has started it stops when the multirun has ended."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        if not is_ray(config):
            return
        ours: Any = OmegaConf.to_container(config.hydra.launcher.ray, resolve=True)
        if wrong := refusal(ours["remote"], device=str(config.device)):
            print(f"error: {wrong}", file=sys.stderr)
            sys.exit(2)
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        logging.getLogger("hydra_plugins.hydra_ray_launcher._launcher_util").setLevel(logging.WARNING)
        try:
            join(ours["init"])
        except Exception as error:  # of many kinds, none of which is ours
            print(f"error: hydra.launcher.ray.init: Ray must start or be joined, got {reason(error)}", file=sys.stderr)
            sys.exit(2)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """In the job's own process, with which Ray ends all that it has started: W&B's helper ends first."""
        if is_ray(config) and (wandb := sys.modules.get("wandb")):
            with suppress(Exception):  # which is no fault of the job
                wandb.teardown()

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        if is_ray(config):
            import ray

            ray.shutdown()


def join(init: Mapping[str, Any]) -> None:
    """Join the Ray at `address`, or start one with what else is given. Raises what Ray raises, and OSError for an
    address where nobody listens, which Ray tries for minutes."""
    import ray

    address = str(init.get("address") or "")
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if port.isdecimal():
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    ray.init(**({"address": address} if address else {**init, "address": "local"}), logging_level=logging.ERROR)


def is_ray(config: DictConfig) -> bool:
    """Whether the jobs of this multirun go through Ray."""
    return str(config.hydra.launcher.get("_target_")).endswith(".RayLauncher")


def refusal(remote: Mapping[str, Any], *, device: str) -> str:
    """What is wrong with a job's share of the machine; empty if nothing is."""
    if find_spec("hydra_plugins") is None or find_spec("hydra_plugins.hydra_ray_launcher") is None:
        return 'hydra/launcher=ray: must be installed (pip install ".[ray]"), got nothing'
    for name in ("num_cpus", "num_gpus"):
        if not is_number(remote.get(name)) or remote[name] < 0:
            return f"hydra.launcher.ray.remote.{name}: must be a number, at least 0, got {remote.get(name)!r}"
    if device.startswith("cuda") and not remote["num_gpus"]:
        rule = f"above 0 where device={device} (1: a GPU for each job, 0.5: one for two)"
        return f"hydra.launcher.ray.remote.num_gpus: must be {rule}, got 0"
    return ""
