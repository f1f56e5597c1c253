"""A label means the same class in every form of the graph."""

import onnx
import pytest

from dcgan.core.onnx_session import CPU
from dcgan.export.errors import FloatMismatchError, LevelMismatchError
from dcgan.export.graph.fold import fold
from dcgan.export.graph.onnx_graph import PLAIN, SUBPIXEL
from dcgan.export.verify.backends import EagerBackend, OnnxBackend
from dcgan.export.verify.distance import measure
from dcgan.export.verify.probes import run_probes
from dcgan.export.verify.tolerances import TOLERANCES
from dcgan.export.verify.verdict import judge
from tests.export.onnx_files import change_table, edited

CLASSES = 3


@pytest.fixture(scope="module")
def reference(conditional):
    return run_probes(EagerBackend(conditional, "trained network", double=True), 10, CLASSES)


def failures(backend, reference):
    limits = TOLERANCES[backend.precision, backend.provider]
    return {
        type(error)
        for error in judge(measure(backend, run_probes(backend, 10, CLASSES), reference, limits))
    }


def opened(path, generator, edit, form=SUBPIXEL):
    return OnnxBackend(edited(path, fold(generator), edit, form), "fp32", CPU)


@pytest.mark.parametrize("form", [PLAIN, SUBPIXEL])
def test_each_form_of_the_graph_passes_the_gate(conditional, reference, tmp_path, form):
    assert (
        failures(opened(tmp_path / "g.onnx", conditional, lambda _: None, form), reference) == set()
    )


@pytest.mark.parametrize("form", [PLAIN, SUBPIXEL])
@pytest.mark.parametrize("part", ["gain", "shift"])
def test_two_classes_swapped_fail_the_gate(conditional, reference, tmp_path, form, part):
    swap = change_table(f"affines.1.{part}", lambda table: table[[1, 0, 2]])
    assert failures(opened(tmp_path / "g.onnx", conditional, swap, form), reference) == {
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
        opened(tmp_path / "g.onnx", conditional, ignore), reference
    )
