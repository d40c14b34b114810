"""What the draft sees of the video."""

from __future__ import annotations

from vsd.metrics.registry import Sums, Value, metric, ratio


@metric("encode/vision_shared", "target's features for draft", "share", "neither")
def vision_shared(s: Sums) -> Value:
    """Share of the samples in which the draft took the target's vision features, since its own would be the same."""
    return ratio(s["vision_shared"], s["vision_drafts"])


@metric("encode/pixels_shared", "target's pixels for draft", "share", "neither")
def pixels_shared(s: Sums) -> Value:
    """Share of the samples in which the draft took what the target's processor had made of the video, since its own
    would have made the same, and ran its own vision tower on it."""
    return ratio(s["pixels_shared"], s["vision_drafts"])


@metric("prune/visual", "visual tokens, target", "count", "neither")
def visual(s: Sums) -> Value:
    """Visual tokens per prompt of the target."""
    return ratio(s["visual"], s["done"])


@metric("prune/kept", "visual tokens, draft", "count", "neither")
def kept(s: Sums) -> Value:
    """Visual tokens per prompt that the draft sees."""
    return ratio(s["kept"], s["done"])
