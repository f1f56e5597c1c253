"""The batches on which the parity gate runs every file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from dcgan.core import noise
from dcgan.export.verify.backends import Backend
from dcgan.export.verify.inputs import ModelInputs, ModelOutputs, seed_inputs
from dcgan.export.verify.threads import run_in_threads

BATCHES = (1, 2, 3, 7, 32, 64)

SEEDS = (0, 1, 2)

WIDEST = (4.0, 8.0)
"""Bounds of the out-of-distribution latents.

One normal in 16,000 lies beyond 4, and practically none beyond 8.
"""

MAX_CLASSES = 1024
"""The first so many classes are run; of further ones only the weights are compared."""


def probe_inputs(latent_size: int, classes: int = 0) -> list[ModelInputs]:
    """Returns the batches to run.

    They are, in order: for each seed a batch of each size, where smaller batches are heads of the
    largest; zeros; latents stretched to each of WIDEST; and batches for the classes that did not
    occur yet. Labels count on from seed to seed; the out-of-distribution batches have the last
    classes.
    """
    largest = max(BATCHES)
    probes = [
        seed_inputs(seed, 0, n, latent_size=latent_size, classes=classes, first_label=i * largest)
        for i, seed in enumerate(SEEDS)
        for n in BATCHES
    ]

    normals = noise.latents(SEEDS[-1] + 1, 0, 7, latent_size)
    unusual = [np.zeros((2, latent_size), dtype=np.float32)]
    unusual += [np.clip(bound * normals, -bound, bound) for bound in WIDEST]
    for z in unusual:
        first_label = max(classes - len(z), 0)
        labels = noise.labels(first_label, len(z), classes) if classes else None
        probes.append(ModelInputs(z, labels))

    labels_seen = len(SEEDS) * largest
    for first in range(labels_seen, min(classes, MAX_CLASSES), largest):
        probes.append(
            seed_inputs(SEEDS[0], first, largest, latent_size=latent_size, classes=classes)
        )
    return probes


def run_probes(backend: Backend, latent_size: int, classes: int = 0) -> list[ModelOutputs]:
    """Runs a model on every probe."""
    inputs = probe_inputs(latent_size, classes)
    return run_in_threads(backend, inputs) if backend.is_thread_safe else list(map(backend, inputs))


def batch_pairs(outputs: Sequence[ModelOutputs]) -> Iterator[tuple[ModelOutputs, ModelOutputs]]:
    """Yields each smaller batch of each seed with the same images from the largest batch."""
    for first in range(0, len(SEEDS) * len(BATCHES), len(BATCHES)):
        *smaller, largest = outputs[first : first + len(BATCHES)]
        for output in smaller:
            n = len(output.images)
            yield output, ModelOutputs(largest.images[:n], largest.floats[:n])
