"""A second, short implementation of the protocol lite0-v1, on real weights and a shipped model.

It follows docs/reference/evaluation.md and uses nothing of `dcgan`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from dcgan.evaluation.cli import main
from dcgan.evaluation.report import PROTOCOL

N = 24
MODEL = Path(__file__).resolve().parents[2] / "zoo" / "models" / "dcgan64-tiny" / "1"


def order(images):
    key = np.array([0, 0], np.uint64)
    return np.argsort(np.random.Philox(key=key).random_raw(images), kind="stable")


def latents(n, size):
    key = np.array([0, 0], np.uint64)
    u, v = (
        ((np.random.Philox(key=key).random_raw(n * size) >> 11) * 2.0**-53).reshape(-1, 2).T.copy()
    )
    radius, angle = np.sqrt(-2 * np.log(1 - u)), 2 * np.pi * v
    both = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return both.reshape(n, size).astype(np.float32)


def prepare(images, size):
    """Steps 4 and 5: shrink, enlarge to 224, scale."""
    ready = []
    for image in images:
        picture = Image.fromarray(image)
        if picture.width > size:
            picture = picture.resize((size, size), Image.Resampling.BOX)
        picture = picture.resize((224, 224), Image.Resampling.BICUBIC)
        ready.append((np.asarray(picture, np.float32) - 127) / 128)
    return torch.from_numpy(np.stack(ready).transpose(0, 3, 1, 2).copy())


def kernel(x, y):
    return (x @ y.T / 1280 + 1) ** 3


def kernel_distance(x, y):
    n, m = len(x), len(y)
    xx, yy = kernel(x, x), kernel(y, y)
    within = (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return within - 2 * kernel(x, y).mean()


def jackknife(x, y):
    def without(z, i):
        return np.concatenate([part for j, part in enumerate(np.array_split(z, 10)) if j != i])

    return np.sqrt(9 * np.var([kernel_distance(without(x, i), without(y, i)) for i in range(10)]))


def distances(x, y):
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(axis=2))


def neighbours(real, fake):
    radius_real = np.sort(distances(real, real), axis=1)[:, 5]
    radius_fake = np.sort(distances(fake, fake), axis=1)[:, 5]
    between = distances(real, fake)
    inside = between <= radius_real[:, None]
    return {
        "precision": inside.any(axis=0).mean(),
        "recall": (between <= radius_fake[None]).any(axis=1).mean(),
        "density": inside.sum(axis=0).mean() / 5,
        "coverage": inside.any(axis=1).mean(),
    }


@pytest.mark.slow
def test_another_implementation_gets_the_same_numbers_to_three_digits(tmp_path, plain_lite0):
    random = np.random.default_rng(4)
    for i in range(2 * N):
        coarse = random.integers(0, 256, (4, 4, 3), np.uint8)
        smooth = Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC)
        (tmp_path / "data").mkdir(exist_ok=True)
        smooth.save(tmp_path / "data" / f"{i:03d}.png")
    words = (
        "dcgan64-tiny",
        "--reference",
        tmp_path / "data",
        "-n",
        N,
        "--no-frechet",
        "--no-baselines",
    )
    done = CliRunner().invoke(main, [*map(str, words), "--json", str(tmp_path / "report.json")])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["protocol"] == PROTOCOL == "lite0-v1"

    pictures = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "data").iterdir())]
    chosen = order(2 * N)
    session = ort.InferenceSession(MODEL / "generator.onnx", providers=["CPUExecutionProvider"])
    (generated,) = session.run(["images"], {"z": latents(N, 100)})
    real = plain_lite0(prepare([pictures[i] for i in chosen[:N]], 32)).numpy()
    others = plain_lite0(prepare([pictures[i] for i in chosen[N:]], 32)).numpy()
    fake = plain_lite0(prepare(list(generated), 32)).numpy()

    rows = {"scores": (report["scores"], fake)}
    rows["others"] = (report["baselines"]["other real images"], others)
    for found, features in rows.values():
        assert found["kd"] == pytest.approx(kernel_distance(real, features), rel=1e-3)
        assert found["kd_error"] == pytest.approx(jackknife(real, features), rel=1e-3)
        pairs = np.linalg.norm(features[::2] - features[1::2], axis=1)
        assert found["diversity"] == pytest.approx(pairs.mean(), rel=1e-3)
        for name, value in neighbours(real, features).items():
            assert found[name] == pytest.approx(value, rel=1e-3), name
    assert report["scores"]["kd"] > 10 * abs(report["baselines"]["other real images"]["kd"])
