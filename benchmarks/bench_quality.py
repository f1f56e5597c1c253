"""Distance of the images of models from their training data, as one number.

    python benchmarks/bench_quality.py DATA --model-repository models
        [--out benchmarks/results/quality.json]

DATA is what `dcgan-train --data` takes, with labels; the figures in the docs are of CIFAR-10. A
small classifier is trained on nine tenths of it. For each model, mean and covariance of its last
features over 10,000 images of seed 0, as they are served, are compared with those of 10,000 real
ones. This is the Fréchet distance (Dowson and Landau 1982) that FID (Heusel et al. 2017) is, too;
but FID uses the features of Inception, whose weights are a separate download, so these numbers
compare only with each other. 0 is best; the row of other real images shows the effect of chance,
on images that the classifier knows.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from dcgan.core import noise
from dcgan.core.images import Pixels
from dcgan.core.versions import library_versions
from dcgan.serving.engine.config import EngineConfig
from dcgan.serving.engine.factory import open_engines
from dcgan.training.data.cache import load_dataset
from dcgan.training.data.dataset import Dataset
from dcgan.training.data.decode import DecodeConfig
from dcgan.training.data.sources import open_source
from dcgan.training.device import LIBRARIES, describe_hardware
from dcgan.training.monitor.progress import decoding_progress
from dcgan.zoo.repository import Release, list_releases

IMAGES = 10_000  # of each side of a comparison
SIZE = 32  # height and width that the classifier sees
BATCH = 125
RATE = 0.2  # at its highest


def main() -> None:
    """Measures every set of images and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="labelled images, as for dcgan-train --data")
    parser.add_argument(
        "--model-repository", type=Path, required=True, help="folder with the models to compare"
    )
    parser.add_argument(
        "--epochs", type=int, default=8, help="passes of the classifier over the data"
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "quality.json"
    )
    arguments = parser.parse_args()

    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    releases = list_releases(arguments.model_repository)
    config = DecodeConfig(image_size=SIZE, channels=3)
    data = load_dataset(open_source(arguments.data), config, decoding_progress)
    if data.labels is None or len(data.images) < 2 * IMAGES:
        parser.error(
            f"DATA must be {2 * IMAGES} images or more, with labels; "
            f"{data.name} is {len(data.images)}"
        )
    if not releases or any(release.manifest.channels != 3 for release in releases):
        parser.error(
            f"{arguments.model_repository} must hold models, and only such as make images in colour"
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)

    models = list(released(releases))
    classifier, accuracy = train_classifier(data, arguments.epochs)
    document = {
        "hardware": describe_hardware("cpu"),
        "versions": library_versions(*LIBRARIES),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "data": data.name,
        "images": IMAGES,
        "classifier_accuracy": round(accuracy, 3),
        "distance": compare(classifier, data.images, models),
    }
    arguments.out.write_text(json.dumps(document, indent=2) + "\n")
    print(json.dumps(document, indent=2))


class Classifier(nn.Module):
    """Seven convolutions; its features are the 256 means of the last."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        plan = [
            (3, 48, 1),
            (48, 96, 2),
            (96, 96, 1),
            (96, 192, 2),
            (192, 192, 1),
            (192, 256, 2),
            (256, 256, 1),
        ]
        blocks = [
            nn.Sequential(
                nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True)
            )
            for a, b, stride in plan
        ]
        self.features = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, SIZE, SIZE] in [-1, 1] -> logits [B, classes]."""
        return self.head(self.features(x))


def train_classifier(data: Dataset, epochs: int) -> tuple[Classifier, float]:
    """Trains a classifier; returns it and its accuracy on the tenth that was held out."""
    order = torch.randperm(len(data.images))
    kept, rest = order.split([len(order) // 10, len(order) - len(order) // 10])
    labels = torch.from_numpy(data.labels)
    classifier = Classifier(len(data.class_names) or int(labels.max()) + 1).to(
        memory_format=torch.channels_last
    )
    steps = epochs * (len(rest) // BATCH)
    sgd = torch.optim.SGD(
        classifier.parameters(), lr=RATE, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(sgd, RATE, total_steps=steps)
    for _ in tqdm(range(steps), desc="classifier", disable=None):
        chosen = rest[torch.randint(len(rest), (BATCH,))]
        images = moved(as_input(data.images[chosen]))
        with torch.autocast("cpu", torch.bfloat16):
            logits = classifier(images)
        sgd.zero_grad()
        nn.functional.cross_entropy(logits.float(), labels[chosen]).backward()
        sgd.step()
        schedule.step()
    classifier.eval()
    with torch.no_grad():
        right = [
            (classifier(as_input(data.images[i])).argmax(1) == labels[i]).float()
            for i in kept.split(BATCH)
        ]
    return classifier, float(torch.cat(right).mean())


def moved(images: Tensor) -> Tensor:
    """Augmentation: mirrors half of the images, and rolls all by up to three pixels."""
    images = torch.where(torch.rand(len(images), 1, 1, 1) < 0.5, images.flip(3), images)
    return images.roll(tuple(torch.randint(-3, 4, (2,)).tolist()), dims=(2, 3))


def released(releases: list[Release]) -> Iterator[tuple[str, Pixels]]:
    """The first images of seed 0 of each model, as it is served."""
    for release in releases:
        manifest = release.manifest
        path = release.path(manifest.file("onnx", "fp32"))
        engine = open_engines(path, manifest, EngineConfig(device="cpu", instances=1))[0]
        images = []
        for start in range(0, IMAGES, engine.max_batch):
            n = min(engine.max_batch, IMAGES - start)
            labels = noise.labels(start, n, manifest.classes) if manifest.classes else None
            images.append(engine.run(noise.latents(0, start, n, manifest.latent_size), labels))
        yield f"{manifest.name} version {manifest.version}", np.concatenate(images)


def compare(
    classifier: Classifier, real: Pixels, models: list[tuple[str, Pixels]]
) -> dict[str, float]:
    """Distances from the real images, of other real ones and of each model's."""
    half, other = torch.randperm(len(real))[: 2 * IMAGES].split(IMAGES)
    sizes = sorted(
        {images.shape[1] for _, images in models}
    )  # each model is compared with what it was trained on
    truths = {size: Spread.of(classifier, enlarged(real[half], size)) for size in sizes}
    chance = {f"other real images, {size}x{size}": enlarged(real[other], size) for size in sizes}
    distances = {
        name: truths[images.shape[1]].distance(Spread.of(classifier, images))
        for name, images in [*chance.items(), *models]
    }
    return {name: round(distance, 2) for name, distance in distances.items()}


def enlarged(images: Pixels, size: int) -> Pixels:
    """As `dcgan.training.data.loader` shows small images to a discriminator, rounded to bytes."""
    x = as_input(images)
    x = nn.functional.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)
    return ((x + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


@dataclass(frozen=True)
class Spread:
    """Mean [d] and covariance [d, d] of features."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, classifier: Classifier, images: Pixels) -> Spread:
        """Computes the mean and the covariance of the features of images."""
        with torch.no_grad():
            parts = [
                classifier.features(as_input(images[i : i + BATCH]))
                for i in range(0, len(images), BATCH)
            ]
        features = torch.cat(parts).double().numpy()
        return cls(features.mean(axis=0), np.cov(features, rowvar=False))

    def distance(self, other: Spread) -> float:
        """Squared Fréchet distance between the normal distributions of both."""
        between = self.mean - other.mean
        roots = np.linalg.eigvals(self.covariance @ other.covariance).real.clip(
            0
        )  # of positive semidefinite ones
        traces = np.trace(self.covariance) + np.trace(other.covariance) - 2 * np.sqrt(roots).sum()
        return float(between @ between + traces)


def as_input(images: Pixels) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, SIZE, SIZE] in [-1, 1]; larger images are averaged."""
    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return nn.functional.adaptive_avg_pool2d(x, SIZE).contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
