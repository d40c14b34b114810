"""Generated films: motion, fine detail and grain, which compress about as much as what a camera takes."""

from __future__ import annotations

from pathlib import Path

from experiments.video.ffmpeg import encode

FPS = 25
# A zoom into the Mandelbrot set, behind a test picture whose parts move; and new grain on every frame.
_PICTURE = (
    "mandelbrot=size={size}:rate={fps}:maxiter=200[a];testsrc2=size={size}:rate={fps}[b];"
    "[a][b]blend=all_mode=average,noise=alls=3:allf=t,format=yuv420p[out]"
)


def film(folder: Path, height: int, seconds: float, *options: str) -> Path:
    """A 16:9 film of so many rows: H.264 by x264's defaults, 25 frames a second, .mp4. `options` go to ffmpeg."""
    file = folder / f"{height}p_{seconds:g}s{'_'.join(options)}.mp4"
    if not file.exists():
        picture = _PICTURE.format(size=f"{2 * round(height * 8 / 9)}x{height}", fps=FPS)
        encode("-filter_complex", picture, "-map", "[out]", "-t", str(seconds), "-c:v", "libx264", *options, file)
    return file
