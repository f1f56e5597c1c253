"""KD-Lite0 during training: the same figure as dcgan-evaluate gives of the export."""

from __future__ import annotations

import pytest
import torch

from dcgan.evaluation import during_training
from dcgan.evaluation.during_training import TrainingEvaluator
from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.evaluate import EvaluationOptions, evaluate
from dcgan.evaluation.reference import open_reference
from dcgan.evaluation.subject import open_subject
from dcgan.export.options import ExportOptions
from dcgan.export.pipeline import export
from dcgan.training.data.cache import load_dataset
from dcgan.training.data.decode import DecodeConfig
from dcgan.training.data.sources import open_source
from dcgan.training.models.network_config import GeneratorConfig
from dcgan.training.models.networks import Generator, init_weights
from dcgan.training.monitor.quality import load_evaluator
from dcgan.training.run_folder import Run
from dcgan.zoo.manifest import Training


@pytest.fixture
def generator():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        made = Generator(GeneratorConfig(image_size=32, latent_size=10, width=8, classes=2))
        init_weights(made)
    return made.eval().requires_grad_(False)


@pytest.fixture
def dataset_of(make_folder):
    def load(n, classes=2):
        source = open_source(str(make_folder(f"data{n}", n, classes=classes)))
        return load_dataset(source, DecodeConfig(image_size=32, channels=3), iter)

    return load


@pytest.mark.slow
def test_it_is_the_distance_of_the_exported_model(
    generator, dataset_of, extractor, tmp_path, make_folder
):
    dataset = dataset_of(160)
    quality = TrainingEvaluator(dataset, extractor, images=80)(generator)

    training = Training(
        recipe="a", data="b", data_sha256="0" * 64, images_seen=1, seed=0, hardware="a test"
    )
    run = Run(generator=generator, training=training, class_names=("a", "b"), description="Noise")
    options = ExportOptions(name="small", version=1, formats=("onnx",))
    release = export(run, tmp_path / "models", options, lambda _: None)
    subject = open_subject(
        str(release.folder),
        precision="fp32",
        seed=0,
        progress=lambda numbers, _: numbers,
        show=lambda _: None,
    )
    reference = open_reference(str(tmp_path / "data160"), image_size=32, channels=3, n=80, seed=0)
    options = EvaluationOptions(with_baselines=False, frechet=False)
    report = evaluate(subject, reference, extractor, options, lambda numbers, _: numbers).report
    assert quality.distance == pytest.approx(1000 * report.scores.kd, rel=1e-3)
    assert quality.error == pytest.approx(1000 * report.scores.kd_error, rel=1e-2)


def test_evaluating_changes_no_weights_and_no_random_numbers(generator, dataset_of, extractor):
    evaluator = TrainingEvaluator(dataset_of(60), extractor)
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    state = torch.get_rng_state()
    first = evaluator(generator)
    assert evaluator(generator) == first
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(generator.state_dict()[name], before[name]) for name in before)


def test_labels_without_names_have_the_shares_of_the_data(
    generator, extractor, make_unnamed, monkeypatch
):
    source = open_source(str(make_unnamed([0, 0, 1] * 20)))
    dataset = load_dataset(source, DecodeConfig(image_size=32, channels=3), iter)
    shown = []
    record = generator.register_forward_pre_hook(lambda _, inputs: shown.append(inputs[1]))
    TrainingEvaluator(dataset, extractor)(generator)
    record.remove()
    assert torch.cat(shown).sum() == 20


def test_too_few_images_are_one_sentence(dataset_of, extractor):
    with pytest.raises(EvaluationError, match="needs 20 images or more"):
        TrainingEvaluator(dataset_of(12), extractor)


def test_training_finds_the_evaluator_by_its_entry_point(dataset_of, extractor, monkeypatch):
    monkeypatch.setattr(during_training, "Lite0", lambda _: extractor)
    assert isinstance(load_evaluator(dataset_of(40), "cpu"), TrainingEvaluator)
