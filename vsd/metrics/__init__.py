"""Records to numbers: every metric is defined here, once, with its formula, label, unit and which way is better."""

from vsd.metrics import (  # noqa: F401 - they enter their metrics
    acceptance,
    counts,
    parallel,
    prompt,
    quality,
    relevance,
    speed,
)
from vsd.metrics.registry import METRICS, Metric, metric_of
from vsd.metrics.resampling import Estimate, Summary, by_video, estimate, summarise, values_of

__all__ = ["METRICS", "Estimate", "Metric", "Summary", "by_video", "estimate", "metric_of", "summarise", "values_of"]
