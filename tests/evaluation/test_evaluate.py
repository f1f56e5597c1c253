import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from dcgan.evaluation import baselines
from dcgan.evaluation.classes import choose_labels
from dcgan.evaluation.errors import EvaluationError
from dcgan.evaluation.evaluate import EvaluationOptions, evaluate
from dcgan.evaluation.features import extract
from dcgan.evaluation.kernel_distance import kernel_distance
from dcgan.evaluation.reference import open_reference, sample_order
from dcgan.evaluation.report import metrics, table
from dcgan.evaluation.subject import open_subject
from dcgan.training.errors import TrainingError
from dcgan.zoo.quality import figures_of_baselines, is_baseline


def quiet(numbers, title):
    return numbers


def subject_of(what, seed=0):
    return open_subject(
        str(what), precision="fp32", seed=seed, progress=quiet, show=lambda line: None
    )


def reference_of(source, n=150):
    return open_reference(str(source), image_size=32, channels=3, n=n, seed=0)


@pytest.mark.slow
def test_images_are_at_zero_from_others_of_their_kind_and_damage_is_not(make_folder, extractor):
    data = make_folder("data", 600, classes=2)
    more = make_folder("more", 300, classes=2, seed=1)
    report = evaluate(
        subject_of(more), reference_of(data), extractor, EvaluationOptions(), quiet
    ).report

    real = report.baselines["other real images"]
    assert abs(real.kd) < 5 * real.kd_error
    assert abs(report.scores.kd) < 5 * report.scores.kd_error
    assert report.baselines["real, blurred"].recall < real.recall / 2
    assert report.baselines["real, noisy"].fd > 2 * real.fd
    assert report.baselines["real, JPEG"].fd < report.baselines["real, noisy"].fd
    assert report.baselines["real, half of the classes"].fd > 2 * real.fd
    assert report.baselines["real, half of the classes"].recall < real.recall


@pytest.mark.parametrize("channels", [1, 3])
def test_compressed_images_differ_a_little_and_the_more_the_lower_the_quality(
    channels, make_images
):
    images = make_images(8, channels=channels)
    changes = [
        np.abs(baselines.compress(images, quality).astype(int) - images).mean()
        for quality in (95, baselines.JPEG_QUALITY, 20)
    ]
    assert 0 < changes[0] < changes[1] < changes[2] < 40


@pytest.mark.parametrize("damage", ["blur", "noise", "modes"])
def test_more_damage_is_more_distance(damage, make_images, extractor):
    real, others = make_images(400), make_images(400, seed=1)
    labels = np.arange(400) % 4
    others = (others // 2 + 32 * labels[:, None, None, None]).astype(np.uint8)
    real = (real // 2 + 32 * labels[:, None, None, None]).astype(np.uint8)
    damaged = {
        "blur": lambda k: baselines.blur(others, k),
        "noise": lambda k: baselines.add_noise(others, 20.0 * k),
        "modes": lambda k: np.resize(others[labels < 4 - k], others.shape),
    }[damage]

    base = extract(real, extractor, 32, quiet, "reference")
    found = [
        kernel_distance(base, extract(damaged(k), extractor, 32, quiet, damage)).value
        for k in (1, 2, 3)
    ]
    assert 0 < found[0] < found[1] < found[2]


@pytest.mark.slow
def test_a_model_is_judged_by_its_exported_file(release, make_folder, extractor):
    data = make_folder("data", 300, classes=2)
    evaluation = evaluate(
        subject_of(release.folder), reference_of(data, 120), extractor, EvaluationOptions(), quiet
    )
    report = evaluation.report

    assert report.n == 120
    assert report.subject == "small 1 (fp32)"
    assert report.subject_facts["model"] == release.manifest.file("onnx").sha256
    assert report.scores.kd > 5 * report.baselines["other real images"].kd_error
    assert report.scores.class_accuracy is None
    assert report.baselines["other real images"].class_accuracy > 0.8
    assert "KD-Small x1000" in table(report)
    assert "FID" not in table(report)
    assert {metric.name for metric in metrics(report)} >= {"KD-Small x1000", "FD-Small"}
    json.dumps(dataclasses.asdict(report))


@pytest.mark.slow
def test_baselines_are_in_the_manifest_by_all_measures(make_folder, extractor):
    data = make_folder("data", 300, classes=2)
    report = evaluate(
        subject_of(data, seed=3), reference_of(data, 120), extractor, EvaluationOptions(), quiet
    ).report
    subject = {metric.name for metric in metrics(report) if not is_baseline(metric)}

    found = figures_of_baselines(metrics(report))
    assert [figures.images for figures in found] == list(report.baselines)
    for figures in found:
        assert set(figures.values) >= subject
        real = report.baselines[figures.images]
        error = figures.values["KD-Small x1000, standard error"]
        assert error == pytest.approx(1000 * real.kd_error, rel=1e-3)
        assert figures.values["precision"] == pytest.approx(real.precision, rel=1e-3)


def test_features_of_the_reference_are_computed_once(make_folder, extractor):
    data = make_folder("data", 300)
    reference, subject = reference_of(data, 120), subject_of(data, seed=3)
    options = EvaluationOptions(with_baselines=False)
    first = evaluate(subject, reference, extractor, options, quiet).report

    calls = []

    class Counting(type(extractor)):
        def __call__(self, images):
            calls.append(len(images))
            return super().__call__(images)

    again = evaluate(subject, reference, Counting(), options, quiet).report
    assert sum(calls) == 120  # those of the subject alone
    assert again == first


def test_a_damaged_cache_is_computed_again(make_folder, extractor, own_cache):
    reference = reference_of(make_folder("data", 300), 120)
    subject = subject_of(make_folder("more", 150, seed=4))
    options = EvaluationOptions(with_baselines=False)
    first = evaluate(subject, reference, extractor, options, quiet).report
    for path in (own_cache / "features").glob("*.npy"):
        path.write_bytes(path.read_bytes()[:100])

    assert evaluate(subject, reference, extractor, options, quiet).report == first


def test_samples_are_disjoint_and_take_half_of_a_small_source(make_folder):
    reference = reference_of(make_folder("data", 101), n=5000)

    assert len(reference.sample) == len(reference.others) == 50
    assert not set(reference.sample.indices) & set(reference.others.indices)


def test_the_order_of_a_sample_is_that_of_the_documentation():
    words = np.random.Philox(key=np.array([7, 0], np.uint64)).random_raw(1000)
    assert sample_order(1000, 7).tolist() == sorted(range(1000), key=lambda i: words[i])
    assert sample_order(5, 0).tolist() == sample_order(5, 0).tolist()


def test_labels_have_the_shares_of_the_reference(make_folder):
    reference = reference_of(make_folder("data", 300, classes=3), 100)
    real = (reference.sample.labels, reference.classes)

    assert choose_labels(0, 100, *real) is None
    assert choose_labels(3, 100, *real).tolist() == reference.sample.labels.tolist()
    assert choose_labels(4, 6, *real).tolist() == [0, 1, 2, 3, 0, 1]


def test_labels_without_names_have_the_shares_of_the_reference(make_unnamed):
    reference = reference_of(make_unnamed([0, 0, 1] * 20), 30)
    labels = choose_labels(2, 30, reference.sample.labels, reference.classes)
    assert labels.tolist() == reference.sample.labels.tolist()


def test_half_of_the_classes_are_those_that_there_are(make_unnamed, extractor):
    options = EvaluationOptions(frechet=False)
    reference = reference_of(make_unnamed([1, 2] * 30))
    subject = subject_of(make_unnamed([1] * 30, "ones"))
    found = evaluate(subject, reference, extractor, options, quiet).report.baselines
    half = found["real, half of the classes"]
    assert half.diversity > found["other real images"].diversity / 4
    assert half.class_accuracy > 0.8

    reference = reference_of(make_unnamed([5] * 60, "fives"))
    found = evaluate(subject, reference, extractor, options, quiet).report.baselines
    assert "real, half of the classes" not in found


def test_a_reference_of_another_kind_of_colour_is_refused(make_folder):
    grey = make_folder("grey", 30, channels=1)
    with pytest.raises(EvaluationError, match="has grey images"):
        reference_of(grey)


def test_too_few_images_for_the_covariance_are_said_before_any_work(make_folder, extractor):
    data = make_folder("data", 100)

    def broken(images):
        raise AssertionError("it was called")

    broken.dimensions = extractor.dimensions
    with pytest.raises(EvaluationError, match="needs 113 images or more"):
        evaluate(subject_of(data), reference_of(data), broken, EvaluationOptions(), quiet)


def test_features_that_are_not_numbers_are_an_error(make_images):
    def broken(images):
        return np.full((len(images), 4), np.nan, np.float32)

    with pytest.raises(EvaluationError, match="NaN or infinite"):
        extract(make_images(10), broken, 32, quiet, "generated")


@pytest.mark.hostile(
    "A reference of `dcgan-evaluate` with a damaged image", "named in one sentence"
)
def test_a_reference_whose_first_image_is_damaged_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(TrainingError, match=r"a\.png in .* cannot be decoded"):
        open_reference(str(tmp_path), image_size=32, channels=3, n=1, seed=0)


def test_a_reference_is_laid_on_the_background_of_the_training(tmp_path):
    for name in ("a.png", "b.png"):
        Image.new("RGBA", (32, 32), (9, 9, 9, 0)).save(tmp_path / name)
    for background, level in (("white", 255), ("#000000", 0)):
        reference = open_reference(
            str(tmp_path), image_size=32, channels=3, n=1, seed=0, background=background
        )
        assert reference.sample.images.max() == reference.sample.images.min() == level
