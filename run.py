"""python run.py pruner=hippo ratio=0.9    Every option and dial: conf/, or python run.py --help."""

import hydra
from omegaconf import DictConfig

from vsd.run import app


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg: DictConfig) -> dict[str, float] | None:
    """One job; in a multirun one of several."""
    return app.main(cfg)


if __name__ == "__main__":
    main()
