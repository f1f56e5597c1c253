"""history.png: the curves of losses, scores and diversity of a run."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dcgan.training.monitor.quality import QUALITY, QUALITY_ERROR
from dcgan.training.monitor.step_metrics import STEP_METRICS

# Matplotlib refuses to be imported if MPLBACKEND names a backend that is not installed, such as a
# notebook's. The curves need none.
_backend = os.environ.pop("MPLBACKEND", None)
try:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend

# Points of a curve; each is the mean over an equal number of steps.
_POINTS = 500

# Label of the axis on which the metrics with this prefix are drawn.
_AXIS_LABELS = {
    "loss": "loss",
    "score": "mean probability of being real",
    "diversity": "spread beside that of real images",
}


def draw_curves(metrics: Path) -> bytes:
    """Draws the rows of a metrics.jsonl file and returns a PNG file."""
    rows = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    images = _downsample(np.array([row["images"] for row in rows], dtype=np.float64))

    evaluated = [row for row in rows if QUALITY in row]
    figure = Figure(figsize=(8, 11 if evaluated else 8), layout="constrained")
    FigureCanvasAgg(figure)
    all_axes = figure.subplots(len(_AXIS_LABELS) + bool(evaluated), 1, sharex=True)
    for axes, (prefix, label) in zip(all_axes, _AXIS_LABELS.items(), strict=False):
        for name in STEP_METRICS:
            if name.startswith(prefix):
                values = np.array([row.get(name, np.nan) for row in rows])
                axes.plot(images, _downsample(values), label=name, linewidth=1)
        axes.set_ylabel(label)
        axes.legend(loc="upper right")
        axes.grid(alpha=0.3)

    all_axes[1].set_ylim(0, 1)
    all_axes[2].set_ylim(bottom=0)
    if evaluated:
        _draw_quality(all_axes[-1], evaluated)
    all_axes[-1].set_xlabel("real images seen")

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _draw_quality(axes: Axes, rows: list[dict[str, float]]) -> None:
    """Draws the distance from the training images after each evaluated step."""
    axes.errorbar(
        [row["images"] for row in rows],
        [row[QUALITY] for row in rows],
        yerr=[row.get(QUALITY_ERROR, 0.0) for row in rows],
        marker=".",
        linewidth=1,
    )
    axes.set_ylabel("KD-Lite0 x1000")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)


def _downsample(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the means of at most `_POINTS` equal parts."""
    parts = np.array_split(values, min(len(values), _POINTS))
    return np.array([part.mean() for part in parts])
