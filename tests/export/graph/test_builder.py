"""Nodes and initializers of a graph."""

import numpy as np
import onnx

from dcgan.export.graph.builder import GraphBuilder


def test_weights_are_stored_in_steps_of_each_output_channel():
    weight = np.array([[[[1.0, -2.54]]], [[[0.0254, 0.01]]]], dtype=np.float32)
    graph = GraphBuilder(float16_weights=False)
    graph.quantized_weight("w", weight, np.array([0.02, 0.0002], dtype=np.float32))
    stored = onnx.numpy_helper.to_array(graph.initializers["w.steps"])
    assert stored.dtype == np.int8
    assert stored.ravel().tolist() == [50, -127, 127, 50]
