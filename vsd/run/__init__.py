"""The rim of a run: from a config to a finished folder, with Hydra, Lightning and the loggers."""
