"""`parity.json`: what the parity gate found, and the table that a person reads."""

from __future__ import annotations

from dataclasses import dataclass

from dcgan.export.verify.parity import Distance, judge
from dcgan.export.verify.tolerances import Limits
from dcgan.zoo.manifest import Parity, Thresholds

FILE_NAME = "parity.json"


@dataclass(frozen=True, kw_only=True)
class Report:
    """Every comparison of one export.

    Attributes:
        reference: what the files were compared with, for people.
        batches: sizes of the batches.
        seeds: of the noise; zeros and noise stretched up to `widest` come on top.
        widest: bounds of the stretched noise.
        processor: family of the processor that ran the comparison.
        versions: of the libraries that ran it.
        distances: one for each file and provider, and for each step between the trained and the released network.
    """

    reference: str
    batches: tuple[int, ...]
    seeds: tuple[int, ...]
    widest: tuple[float, ...]
    processor: str
    versions: dict[str, str]
    distances: tuple[Distance, ...]

    def verdicts(self, files: set[str]) -> tuple[Parity, ...]:
        """The manifest's entries, for the comparisons of these files."""
        return tuple(
            Parity(
                path=distance.file,
                provider=distance.provider,
                passed=not judge(distance),
                max_abs_error=distance.max_abs_error,
                max_levels=distance.max_levels,
                pixels_changed=distance.pixels_changed,
                psnr=distance.quality.psnr if distance.quality else None,
                quality_levels=distance.quality.max_levels if distance.quality else None,
                thresholds=_thresholds(distance.limits),
            )
            for distance in self.distances
            if distance.file in files
        )

    def raise_failure(self) -> None:
        """Raises the first failure, if there is one.

        Raises:
            ParityError: of the class that says what failed.
        """
        for distance in self.distances:
            for error in judge(distance):
                raise error

    def table(self) -> str:
        """The distances as a table in plain text, which is also valid Markdown."""
        head = (
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
        rows = [head, *(_row(distance) for distance in self.distances)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        lines = [
            " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]
        lines.insert(1, " | ".join("-" * width for width in widths))
        return "\n".join(f"| {line} |" for line in lines)


def _thresholds(limits: Limits | None) -> Thresholds | None:
    if limits is None:
        return None
    return Thresholds(
        max_abs_error=limits.max_abs_error,
        max_levels=limits.max_levels,
        pixels_changed=limits.pixels_changed,
        psnr=limits.min_psnr,
        quality_levels=limits.quality_levels,
    )


def _row(distance: Distance) -> tuple[str, ...]:
    errors = (distance.max_abs_error, distance.mean_abs_error, distance.p999_abs_error)
    verdict = "reported" if distance.limits is None else "FAILED" if judge(distance) else "passed"
    return (
        distance.file,
        distance.provider,
        *(f"{error:.1e}" for error in errors),
        str(distance.max_levels),
        f"{distance.pixels_changed:.4%}",
        f"{distance.quality.psnr:.1f} dB" if distance.quality else "",
        verdict,
    )
