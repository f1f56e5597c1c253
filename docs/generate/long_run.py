"""The chart and the table of a long run of dcgan64-seed, from benchmarks/results."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dcgan.training.monitor.collapse import MIN_LOSS
from docs.generate.markdown import cell, code, table
from docs.generate.results import read_result

RESULT = "long-run-dcgan64-seed.json"
DIGEST = "Data-SHA256"
"""Name of the PNG text chunk with the digest of the drawn figures."""


def digest(result: dict[str, Any]) -> str:
    """Returns the SHA-256 of a result, whatever the layout of its file."""
    return hashlib.sha256(json.dumps(result, sort_keys=True).encode()).hexdigest()


def long_run_chart() -> bytes:
    """Returns a PNG file: distance, D's loss, and scores with diversity, over the steps."""
    result = read_result(RESULT)
    figure = Figure(figsize=(8, 8), layout="constrained")
    distance, loss, scores = figure.subplots(3, 1, sharex=True)

    _draw_distance(distance, result["evaluations"])
    _draw_steps(loss, scores, result["curve"])
    grey = "grey: the condition of the collapse detector holds"
    scores.set_xlabel(f"steps of {result['batch_size']} images; {grey}")

    for axes in (distance, loss, scores):
        axes.grid(alpha=0.3)
        for first, last in result["collapsed"]["steps"]:
            axes.axvspan(first, last, color="grey", alpha=0.3, linewidth=0)

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={DIGEST: digest(result)})
    return buffer.getvalue()


def long_run_table() -> str:
    """Returns how the exported generators, and other real images, compare with real images."""
    exported = read_result(RESULT)["exported"]
    rows = []
    for name, figures in exported["generators"].items():
        recipe, _, checkpoint = name.partition(", ")
        rows.append([f"{code(recipe)}, {cell(checkpoint)}", *_figures(figures)])
    rows.append(["other real images", *_figures(exported["other real images"])])
    head = [f"{exported['images']:,} images", "KD-Lite0 x1000", "FD-Lite0"]
    return table([*head, "precision", "recall", "coverage"], rows)


def _figures(figures: dict[str, float]) -> list[str]:
    distance = f"{figures['kd_lite0_x1000']:.2f} ± {figures['standard_error']:.2f}"
    shares = [f"{figures[name]:.3f}" for name in ("precision", "recall", "coverage")]
    return [distance, f"{figures['fd']:.2f}", *shares]


def _draw_distance(axes: Axes, evaluations: list[dict[str, float]]) -> None:
    axes.errorbar(
        [row["step"] for row in evaluations],
        [row["kd_lite0_x1000"] for row in evaluations],
        yerr=[row["standard_error"] for row in evaluations],
        marker=".",
        linewidth=1,
    )
    axes.set_ylabel("KD-Lite0 x1000")
    axes.set_ylim(bottom=0)


def _draw_steps(loss: Axes, scores: Axes, curve: dict[str, Any]) -> None:
    columns = zip(*curve["rows"], strict=True)
    values = dict(zip(curve["columns"], columns, strict=True))

    loss.semilogy(values["step"], values["loss_D"], linewidth=1)
    loss.axhline(MIN_LOSS, color="tab:red", linestyle="--", linewidth=1, label=f"{MIN_LOSS}")
    loss.set_ylabel("loss_D")
    loss.legend(loc="lower left")

    for name in ("score_D", "score_G2", "diversity"):
        scores.plot(values["step"], values[name], label=name, linewidth=1)
    scores.set_ylabel("scores, diversity")
    scores.set_ylim(0, 1.3)
    scores.legend(loc="upper center", ncols=3)
