"""The steps of an evaluation: images, features, scores, and baselines from real images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dcgan.core.images import Pixels
from dcgan.core.versions import library_versions
from dcgan.evaluation import baselines
from dcgan.evaluation.classes import choose_labels, class_accuracy
from dcgan.evaluation.features import Extractor, Features, Progress, cached, extract
from dcgan.evaluation.frechet import check_covariance, frechet_distance
from dcgan.evaluation.kernel_distance import kernel_distance
from dcgan.evaluation.neighbours import Neighbours, compare_neighbours, diversity
from dcgan.evaluation.reference import Reference
from dcgan.evaluation.report import PROTOCOL, SCHEMA_VERSION, Report, Scores
from dcgan.evaluation.subject import Subject


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """How to evaluate.

    Attributes:
        size: height and width at which images are compared; 0 for the smaller one of both sides.
        seed: of the samples.
        frechet: compute the Frechet distance.
        with_baselines: also evaluate damaged real images.
    """

    size: int = 0
    seed: int = 0
    frechet: bool = True
    with_baselines: bool = True


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The report, and what pictures of it need.

    Attributes:
        report: the figures.
        images: the images that were evaluated, uint8 [n, H, H, C].
        neighbours: their nearest real images.
    """

    report: Report
    images: Pixels
    neighbours: Neighbours


def evaluate(
    subject: Subject,
    reference: Reference,
    extractor: Extractor,
    options: EvaluationOptions,
    progress: Progress,
) -> Evaluation:
    """Compares images with real ones, and real ones with each other.

    Raises:
        EvaluationError: if there are too few images.
    """
    n = len(reference.sample)
    if options.frechet:
        check_covariance(n, extractor.dimensions)
    size = options.size or min(subject.image_size, reference.sample.images.shape[1])
    scorer = _Scorer(reference, extractor, options, size, progress)

    real_labels = reference.sample.labels
    labels = choose_labels(subject.classes, n, real_labels, reference.classes)
    images = subject.images(n, labels)
    features = extract(images, extractor, size, progress, "generated")
    neighbours = compare_neighbours(scorer.real, features)

    report = Report(
        schema_version=SCHEMA_VERSION,
        protocol=PROTOCOL,
        features={"name": extractor.name, "digest": extractor.digest},
        subject=subject.name,
        subject_facts=subject.facts,
        reference=reference.name,
        reference_sha256=reference.sha256,
        n=n,
        size=size,
        seed=options.seed,
        # Other labels than those of the real images name other classes.
        scores=scorer.scores(features, neighbours, labels if labels is real_labels else None),
        baselines=scorer.score_baselines(),
        versions=library_versions("dcgan-zoo", "numpy", "onnxruntime", "pillow", "torch"),
    )
    return Evaluation(report=report, images=images, neighbours=neighbours)


class _Scorer:
    """Holds the features of the reference and scores other features against them."""

    def __init__(
        self,
        reference: Reference,
        extractor: Extractor,
        options: EvaluationOptions,
        size: int,
        progress: Progress,
    ) -> None:
        self._reference = reference
        self._extractor = extractor
        self._options = options
        self._size = size
        self._progress = progress
        self.real = self._features("reference", reference.sample.images)

    def scores(
        self, features: Features, neighbours: Neighbours, labels: NDArray[np.int64] | None
    ) -> Scores:
        """Scores a set; with the labels that its images should have, also its class accuracy."""
        distance = kernel_distance(self.real, features)
        real_labels = self._reference.sample.labels
        accuracy = None
        if labels is not None and real_labels is not None:
            accuracy = class_accuracy(self.real, real_labels, features, labels)

        return Scores(
            kd=distance.value,
            kd_error=distance.error,
            fd=frechet_distance(self.real, features) if self._options.frechet else None,
            precision=neighbours.precision,
            recall=neighbours.recall,
            density=neighbours.density,
            coverage=neighbours.coverage,
            diversity=diversity(features),
            class_accuracy=accuracy,
        )

    def score_baselines(self) -> dict[str, Scores]:
        """Scores other real images, and damaged ones if the options ask for them."""
        others = self._reference.others
        features = self._features("other real", others.images)
        found = {"other real images": self._score_baseline(features, others.labels)}
        if not self._options.with_baselines:
            return found

        blurred = self._features("blurred", baselines.blur(others.images))
        found["real, blurred"] = self._score_baseline(blurred, others.labels)
        noisy = self._features("noisy", baselines.add_noise(others.images))
        found["real, noisy"] = self._score_baseline(noisy, others.labels)
        compressed = self._features("JPEG", baselines.compress(others.images))
        found["real, JPEG"] = self._score_baseline(compressed, others.labels)

        half = self._half_of_classes(features)
        if half is not None:
            found["real, half of the classes"] = half
        return found

    def _half_of_classes(self, features: Features) -> Scores | None:
        """Scores the real images of the first half of the classes; None with fewer than two.

        The images are repeated to the size of the other sets, so that the Frechet distance has
        the same bias.
        """
        labels = self._reference.others.labels
        if labels is None:
            return None
        classes = np.unique(labels)
        if len(classes) < 2:
            return None
        kept = np.flatnonzero(np.isin(labels, classes[: len(classes) // 2]))
        indices = np.resize(kept, len(labels))
        return self._score_baseline(features[indices], labels[indices])

    def _score_baseline(self, features: Features, labels: NDArray[np.int64] | None) -> Scores:
        return self.scores(features, compare_neighbours(self.real, features), labels)

    def _features(self, title: str, images: Pixels) -> Features:
        facts: dict[str, object] = {
            "protocol": PROTOCOL,
            "extractor": self._extractor.digest,
            "data": self._reference.sha256,
            "set": title,
            "n": len(images),
            "size": self._size,
            "stored": images.shape[1],
            "seed": self._options.seed,
        }
        return cached(
            facts, lambda: extract(images, self._extractor, self._size, self._progress, title)
        )
