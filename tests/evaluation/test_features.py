"""Extractors and the cache of features."""

import numpy as np
import torch

from dcgan.evaluation import features
from dcgan.evaluation.features import Lite0, cached


def test_features_of_a_gpu_are_cached_apart_from_those_of_a_cpu(monkeypatch):
    monkeypatch.setattr(features, "find_weights", lambda: None)
    monkeypatch.setattr(features, "load_efficientnet", lambda _: torch.nn.Identity())

    def store(device: str, value: float) -> float:
        extractor = Lite0(device)
        facts: dict[str, object] = {"extractor": extractor.digest, "set": "during training"}
        return float(cached(facts, lambda: np.full((1, 1), value, dtype=np.float32))[0, 0])

    assert store("meta", 1.0) == 1.0  # a device that every machine has
    assert store("cpu", 2.0) == 2.0
    assert store("meta", 3.0) == 1.0


def test_the_digest_on_a_cpu_is_that_of_the_weights(monkeypatch):
    monkeypatch.setattr(features, "find_weights", lambda: None)
    monkeypatch.setattr(features, "load_efficientnet", lambda _: torch.nn.Identity())
    assert Lite0().digest == features.WEIGHTS_SHA256  # as in published reports
