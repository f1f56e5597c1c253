"""The parity report: what the gate found, as data, as verdicts and as a table."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dcgan.export.verify.distance import Distance
from dcgan.export.verify.tolerances import Tolerances
from dcgan.export.verify.verdict import judge
from dcgan.zoo.manifest import Parity, Thresholds

_ALL_LEVELS = 255

_HEADER = (
    "file",
    "on",
    "max error",
    "mean error",
    "p99.9 error",
    "levels",
    "pixels changed",
    "PSNR",
    "verdict",
)


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """Every comparison of one export. The fields are the keys of parity.json.

    Attributes:
        reference: what the files were compared with, in words.
        batches: batch sizes.
        seeds: of the noise; zeros and latents stretched up to `widest` come on top.
        widest: bounds of the stretched latents.
        processor: family of the processor that ran the comparison.
        versions: of the libraries that ran it.
        distances: one for each file and provider, and for each stage from the trained to the
            released network.
    """

    reference: str
    batches: tuple[int, ...]
    seeds: tuple[int, ...]
    widest: tuple[float, ...]
    processor: str
    versions: dict[str, str]
    distances: tuple[Distance, ...]

    def raise_failure(self) -> None:
        """Raises the first failure, if there is one.

        Raises:
            ParityError: of the class that says what failed.
        """
        for distance in self.distances:
            for error in judge(distance):
                raise error

    def verdicts(self, files: Collection[str]) -> tuple[Parity, ...]:
        """Returns the manifest's entries for the comparisons of these files."""
        return tuple(_verdict(distance) for distance in self.distances if distance.file in files)

    def table(self) -> str:
        """Returns the distances as a table in plain text, which is also valid Markdown."""
        rows = [_HEADER, *(_row(distance) for distance in self.distances)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
        rows.insert(1, tuple("-" * width for width in widths))

        lines = []
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines)


def _verdict(distance: Distance) -> Parity:
    quality = distance.quality
    return Parity(
        path=distance.file,
        provider=distance.provider,
        passed=not judge(distance),
        max_abs_error=distance.max_abs_error,
        max_levels=distance.max_levels,
        pixels_changed=distance.pixels_changed,
        psnr=quality.psnr if quality else None,
        quality_levels=quality.max_levels if quality else None,
        thresholds=_thresholds(distance.limits),
    )


def _thresholds(tolerances: Tolerances | None) -> Thresholds | None:
    if tolerances is None:
        return None
    return Thresholds(
        max_abs_error=tolerances.max_abs_error,
        max_levels=tolerances.max_levels,
        pixels_changed=tolerances.pixels_changed,
        psnr=tolerances.min_psnr,
        quality_levels=tolerances.quality_levels,
    )


def _row(distance: Distance) -> tuple[str, ...]:
    verdict = "FAILED" if judge(distance) else "passed"
    if distance.limits is None:
        verdict = "reported"

    return (
        distance.file,
        distance.provider,
        f"{distance.max_abs_error:.1e}",
        f"{distance.mean_abs_error:.1e}",
        f"{distance.p999_abs_error:.1e}",
        _levels(distance),
        f"{distance.pixels_changed:.4%}",
        _psnr(distance),
        verdict,
    )


def _levels(distance: Distance) -> str:
    """Returns the grey levels that the verdict is about, and how many are allowed.

    An int8 file may differ by anything on out-of-distribution latents; what counts is the largest
    difference over the images of the quality measurement.
    """
    limits = distance.limits
    if limits is None:
        return str(distance.max_levels)

    is_unlimited = limits.max_levels == _ALL_LEVELS
    if is_unlimited and distance.quality is not None and limits.quality_levels is not None:
        return f"{distance.quality.max_levels} (max {limits.quality_levels})"
    return f"{distance.max_levels} (max {limits.max_levels})"


def _psnr(distance: Distance) -> str:
    if distance.quality is None:
        return ""
    shown = f"{distance.quality.psnr:.1f} dB"
    if distance.limits is None or distance.limits.min_psnr is None:
        return shown
    return f"{shown} (min {distance.limits.min_psnr:.1f})"
