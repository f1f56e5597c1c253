import errno
import json
from unittest.mock import Mock

import pytest
from click.testing import CliRunner

from dcgan.evaluation.cli import main
from dcgan.zoo.release import RepositoryError, read_release


@pytest.fixture
def evaluate(monkeypatch, extractor):
    """Runs the command with the small extractor in place of EfficientNet."""
    monkeypatch.setattr("dcgan.evaluation.features.Lite0", lambda: extractor)
    return lambda *words: CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.slow
def test_it_prints_a_table_and_writes_report_and_grid(evaluate, release, make_folder, tmp_path):
    data = make_folder("data", 300, classes=2)
    done = evaluate(
        release.folder, "--reference", data, "-n", 130,
        "--json", tmp_path / "report.json", "--grid", tmp_path / "grid.png",
    )  # fmt: skip

    assert done.exit_code == 0, done.output
    assert "small 1 (fp32)" in done.output
    assert "real, half of the classes" in done.output
    stages = [line for line in done.stderr.splitlines() if line.endswith(" ...")]
    assert stages[:3] == [
        "decoding images ...",
        "features of reference images ...",
        "generating images ...",
    ]
    assert "features of blurred images ..." in stages
    assert "FID, KID and IS need Inception weights" in done.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["protocol"] == "lite0-v1"
    assert report["n"] == 130
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_it_publishes_a_copy_of_the_model_with_the_figures(
    evaluate, release, make_folder, tmp_path
):
    data = make_folder("data", 300)
    words = (release.folder, "--reference", data, "-n", 130, "--no-baselines")
    done = evaluate(*words, "--publish", tmp_path / "models")

    assert done.exit_code == 0, done.output
    manifest = read_release(tmp_path / "models" / "small" / "1").manifest
    assert {metric.name for metric in manifest.metrics} >= {"KD-Small x1000", "recall"}
    fails(evaluate(data, *words[1:], "--publish", tmp_path), "--publish takes a model")


@pytest.mark.slow
def test_a_small_reference_lowers_n_and_that_is_said(evaluate, make_folder):
    data = make_folder("data", 300)
    done = evaluate(data, "--reference", data, "--no-baselines")

    assert done.exit_code == 0, done.output
    assert "allows 150 images in each set, not 10,000" in done.output


def test_outputs_that_cannot_be_written_are_refused_before_any_work(
    evaluate, release, make_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("dcgan.evaluation.evaluate.evaluate", Mock(side_effect=AssertionError))
    words = (release.folder, "--reference", make_folder("data", 60), "-n", 20, "--no-frechet")
    (tmp_path / "file").write_text("")

    fails(evaluate(*words, "--json", tmp_path), "is a folder; name a file for --json")
    fails(evaluate(*words, "--grid", tmp_path), "is a folder; name a file for --grid")
    fails(evaluate(*words, "--grid", tmp_path / "file" / "x.png"), "name another --grid")
    fails(evaluate(*words, "--publish", release.folder.parents[1]), "is never changed")
    fails(evaluate(*words, "--publish", tmp_path / "file"), "cannot write to the repository")


def test_the_report_is_written_before_the_model_is_published(
    evaluate, release, make_folder, tmp_path, monkeypatch
):
    full = RepositoryError("cannot write the model")
    monkeypatch.setattr("dcgan.export.release.republish.republish", Mock(side_effect=full))
    words = (release.folder, "--reference", make_folder("data", 60), "-n", 20, "--no-frechet")
    outputs = ("--json", tmp_path / "new" / "a.json", "--grid", tmp_path / "a.png")
    done = evaluate(*words, "--no-baselines", *outputs, "--publish", tmp_path / "models")

    fails(done, "cannot write the model")
    assert json.loads((tmp_path / "new" / "a.json").read_text())["n"] == 20
    assert (tmp_path / "a.png").exists()


def test_a_disk_that_fills_meanwhile_is_one_sentence(
    evaluate, release, make_folder, tmp_path, monkeypatch
):
    full = OSError(errno.EDQUOT, "Disk quota exceeded")
    monkeypatch.setattr("dcgan.core.output.replacing", Mock(side_effect=full))
    words = (release.folder, "--reference", make_folder("data", 60), "-n", 20, "--no-frechet")
    done = evaluate(*words, "--no-baselines", "--json", tmp_path / "a.json")
    fails(done, "Disk quota exceeded; name another --json")


def fails(done, *words):
    assert done.exit_code == 2, done.output
    sentences = done.output.strip().splitlines()
    assert "Traceback" not in done.output
    for word in words:
        assert word in sentences[-1]


def test_bad_input_is_one_sentence_and_code_2(evaluate, release, make_folder, tmp_path):
    data = make_folder("data", 60)
    grey = make_folder("grey", 60, channels=1)

    fails(evaluate("nothing", "--reference", data), "there is no model 'nothing'")
    fails(evaluate(data, "--reference", tmp_path / "none"), "none")
    fails(evaluate(release.folder, "--reference", grey), "has grey images")
    fails(evaluate(data, "--reference", data), "needs 113 images or more")
    fails(evaluate(release.folder, "--reference", data, "--precision", "int8"), "no ONNX file")


def test_weights_with_another_digest_are_refused_before_any_work(evaluate, make_folder, tmp_path):
    weights = tmp_path / "inception.pth"
    weights.write_bytes(b"other weights")
    words = ("nothing", "--reference", "nothing", "--fid-weights")

    fails(evaluate(*words, weights), "not 6726825d")
    fails(evaluate(*words, tmp_path / "none.pth"), "cannot read the Inception weights")


def test_an_unknown_noise_scheme_is_refused(evaluate, release, make_folder, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for path in release.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    manifest = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(manifest.replace("philox4x64", "mersenne"))

    fails(evaluate(folder, "--reference", make_folder("data", 60)), "noise scheme")
