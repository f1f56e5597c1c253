"""Networks with classes: one function in every format, and a label that means the same in each."""

import dataclasses
import runpy
import shutil

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper

from dcgan.core import noise
from dcgan.core.images import decode_png, tile
from dcgan.core.onnx_session import CPU
from dcgan.export.errors import (
    FailedRunError,
    FloatMismatchError,
    LevelMismatchError,
    WeightMismatchError,
)
from dcgan.export.formats.weights import read_weights
from dcgan.export.graph.fold import ClassAffine, fold
from dcgan.export.graph.onnx_graph import PLAIN, SUBPIXEL, build_graph, write_graph
from dcgan.export.verify.backends import Batch, EagerRunner, OnnxRunner
from dcgan.export.verify.parity import judge, measure, probes, run_probes
from dcgan.export.verify.reverify import recheck
from dcgan.export.verify.tolerances import LIMITS
from dcgan.export.verify.weight_check import check_graph_weights
from dcgan.training.models.networks import ConditionalNorm
from dcgan.zoo.golden import golden_labels
from dcgan.zoo.manifest import Tensor

CLASSES = 3


@pytest.fixture(scope="module")
def conditional(make_module_generator):
    return make_module_generator(classes=CLASSES)


@pytest.fixture(scope="module")
def reference(conditional):
    return run_probes(EagerRunner(conditional, "trained network", double=True), 10, CLASSES)


def failures(runner, reference):
    limits = LIMITS[runner.precision, runner.provider]
    return {
        type(error)
        for error in judge(measure(runner, run_probes(runner, 10, CLASSES), reference, limits))
    }


def edited(network, path, edit, form=SUBPIXEL):
    model = build_graph(network, facts="{}", half_weights=False, form=form)
    edit(model.graph)
    write_graph(model, path)
    return OnnxRunner(path, "fp32", CPU)


def change_table(name, change):
    def edit(graph):
        (tensor,) = [tensor for tensor in graph.initializer if tensor.name == name]
        tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))

    return edit


def test_a_folded_network_is_the_same_function_of_each_class(conditional):
    folded = fold(conditional)
    assert folded.classes == CLASSES
    assert not any(isinstance(module, ConditionalNorm) for module in folded.modules())
    assert sum(isinstance(module, ClassAffine) for module in folded.modules()) == len(
        conditional.hidden
    )
    z = torch.randn(1, 10, generator=torch.manual_seed(0))
    images = []
    with torch.inference_mode():
        for label in range(CLASSES):
            images.append(folded(z, torch.tensor([label])))
            torch.testing.assert_close(
                images[-1], conditional(z, torch.tensor([label])), rtol=0, atol=1e-5
            )
    assert not torch.allclose(images[0], images[1], atol=0.1)


def test_a_network_with_classes_does_not_run_without_labels(conditional):
    with pytest.raises(ValueError, match="labels"):
        fold(conditional)(torch.zeros(1, 10))


def test_the_probes_hold_every_class_in_turn_and_heads_stay_heads():
    batches = probes(10, 7)
    assert {int(label) for batch in batches for label in batch.label} == set(range(7))
    assert all(
        batch.label.dtype == np.int64 and len(batch.label) == len(batch.z) for batch in batches
    )
    assert np.array_equal(batches[0].label, batches[5].label[:1])
    assert {int(label) for batch in probes(10, 150)[:18] for label in batch.label} == set(
        range(150)
    )
    for classes in (199, 200, 1000):
        assert {int(label) for batch in probes(10, classes) for label in batch.label} == set(
            range(classes)
        )
    assert {int(label) for batch in probes(10, 65_536) for label in batch.label} == {
        *range(1024),
        *range(65_529, 65_536),
    }


@pytest.mark.parametrize("form", [PLAIN, SUBPIXEL])
def test_each_form_of_the_graph_passes_the_gate(conditional, reference, tmp_path, form):
    assert (
        failures(edited(fold(conditional), tmp_path / "g.onnx", lambda _: None, form), reference)
        == set()
    )


@pytest.mark.parametrize("form", [PLAIN, SUBPIXEL])
@pytest.mark.parametrize("part", ["gain", "shift"])
def test_two_classes_swapped_fail_the_gate(conditional, reference, tmp_path, form, part):
    swap = change_table(f"affines.1.{part}", lambda table: table[[1, 0, 2]])
    assert failures(edited(fold(conditional), tmp_path / "g.onnx", swap, form), reference) == {
        FloatMismatchError,
        LevelMismatchError,
    }


def test_a_graph_that_ignores_its_label_fails_the_gate(conditional, reference, tmp_path):
    def ignore(graph):
        graph.node.insert(0, onnx.helper.make_node("Sub", ["label", "label"], ["nought"]))
        for node in graph.node:
            if node.op_type == "Gather":
                node.input[1] = "nought"

    assert FloatMismatchError in failures(
        edited(fold(conditional), tmp_path / "g.onnx", ignore), reference
    )


@pytest.mark.parametrize("form", [PLAIN, SUBPIXEL])
@pytest.mark.parametrize("part", ["gain", "shift"])
def test_the_smallest_change_of_one_class_is_found_by_its_weights(
    conditional, tmp_path, form, part
):
    def nudge(table):
        table.flat[5] = np.nextafter(table.flat[5], np.float32(9))
        return table

    network, path = fold(conditional), tmp_path / "g.onnx"
    edited(network, path, lambda _: None, form)
    check_graph_weights(path, network)
    edited(network, path, change_table(f"affines.2.{part}", nudge), form)
    with pytest.raises(WeightMismatchError, match=f"affines.2.{part}"):
        check_graph_weights(path, network)


def test_a_label_beyond_the_classes_fails_and_is_not_taken_for_another(conditional, tmp_path):
    runner = edited(fold(conditional), tmp_path / "g.onnx", lambda _: None)
    with pytest.raises(FailedRunError, match="out of data bounds"):
        runner.images(Batch(np.zeros((1, 10), np.float32), np.array([CLASSES])))


def test_weights_with_classes_come_back_as_they_went(labelled):
    network = read_weights(labelled.folder / "generator.safetensors")
    assert network.classes == CLASSES
    assert [len(affine.shift) for affine in network.affines] == [CLASSES] * 3


def test_a_release_says_that_it_takes_labels(labelled):
    manifest = labelled.manifest
    assert (manifest.classes, manifest.class_names) == (CLASSES, ("cat", "dog", "ship"))
    assert manifest.inputs[1] == Tensor(name="label", dtype="int64", shape=("batch",))
    assert set(golden_labels(manifest.golden)) == set(range(CLASSES))
    assert {verdict.path for verdict in manifest.parity} == {
        file.path for file in manifest.files if file.precision
    }


def test_every_file_of_a_release_makes_the_same_images_of_a_class(labelled):
    folder = labelled.folder
    z, label = noise.latents(9, 0, 6, 10), np.array([2, 1, 0, 0, 1, 2])
    (expected,) = ort.InferenceSession(folder / "generator.onnx", providers=[CPU]).run(
        None, {"z": z, "label": label}
    )
    program = torch.export.load(folder / "generator.pt2").module()
    with pytest.warns(Warning, match="torch.jit"):
        script = torch.jit.load(folder / "generator.ts")
    for images in (
        script(torch.from_numpy(z), torch.from_numpy(label)).numpy(),
        program(torch.from_numpy(z), torch.from_numpy(label))[0].numpy(),
    ):
        assert np.abs(images.astype(int) - expected.astype(int)).max() <= 1
        assert (images != expected).mean() < 1e-3


def test_a_release_passes_when_it_is_checked_again(labelled, without_gpu):
    lines = []
    recheck(labelled.folder, lines.append)
    assert [line for line in lines if line.startswith("golden images")] == [
        f"golden images of {name} on CPUExecutionProvider: exact"
        for name in ("generator.onnx", "generator.int8.onnx", "generator.fp16.onnx")
    ]
    assert lines[-1].count("passed") == 6


def test_the_samples_show_one_class_in_each_column(labelled):
    grid = decode_png((labelled.folder / "samples.png").read_bytes())
    assert grid.shape == (4 * 32, CLASSES * 32, 3)
    z, label = noise.latents(0, 0, 12, 10), np.arange(12) % CLASSES
    session = ort.InferenceSession(labelled.folder / "generator.onnx", providers=[CPU])
    images = session.run(None, {"z": z, "label": label})[0]
    assert np.abs(tile(images, CLASSES).astype(int) - grid).max() <= 1


def test_the_card_names_the_classes_and_its_example_runs(labelled, tmp_path, monkeypatch):
    card = (labelled.folder / "README.md").read_text()
    assert "0 cat, 1 dog, 2 ship" in card
    assert "pipeline_tag" not in card
    (tmp_path / "example.py").write_text(card.partition("```python\n")[2].partition("```")[0])
    shutil.copy(labelled.folder / "generator.onnx", tmp_path)
    monkeypatch.chdir(tmp_path)
    runpy.run_path("example.py")
    feeds = {"z": noise.latents(7, 0, 64, 10), "label": noise.labels(0, 64, CLASSES)}
    (images,) = ort.InferenceSession("generator.onnx", providers=[CPU]).run(None, feeds)
    assert np.array_equal(decode_png((tmp_path / "grid.png").read_bytes()), tile(images))


def test_names_that_are_the_numbers_of_their_classes_are_not_repeated(labelled):
    from dcgan.export.release.model_card import _classes

    (text,) = _classes(dataclasses.replace(labelled.manifest, class_names=("0", "1", "2")))
    assert text.startswith("`label` is the class of each image, 0 to 2. ")


def test_a_model_of_more_classes_than_a_card_lists_counts_the_rest(labelled):
    from dcgan.export.release.model_card import _classes, sample_columns

    names = tuple(f"c{i}" for i in range(150))
    manifest = labelled.manifest
    many = dataclasses.replace(manifest, classes=150, class_names=names)
    (text,) = _classes(many)
    assert "99 c99, and 50 more" in text
    assert sample_columns(150) == 8
