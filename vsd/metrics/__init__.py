"""Records to numbers: every metric is defined here, once, with its formula, label, unit and which way is better."""

from vsd.metrics import acceptance, counts, parallel, prompt, quality, speed  # noqa: F401 - they enter their metrics
from vsd.metrics.registry import METRICS, Metric, metric_of
from vsd.metrics.resampling import Summary, summarise

__all__ = ["METRICS", "Metric", "Summary", "metric_of", "summarise"]
