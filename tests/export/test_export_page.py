"""The program in the documentation of the export."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from dcgan.core import noise


def test_the_bridge_to_torch_fidelity_in_the_documentation_gives_channels_first():
    import torch

    from dcgan.zoo.repository import SHIPPED

    text = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "export.md").read_text()
    names: dict[str, type[torch.nn.Module]] = {}
    exec(
        "import onnxruntime"
        + text.partition("```python\nimport onnxruntime")[2].partition("```")[0],
        names,
    )
    path = SHIPPED / "dcgan64-tiny" / "1" / "generator.onnx"
    z = noise.latents(7, 0, 3, 100)
    images = names["ChannelsFirst"](path)(torch.from_numpy(z))
    assert images.shape == (3, 3, 64, 64)
    assert images.dtype == torch.uint8
    (expected,) = ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"z": z})
    assert np.array_equal(images.permute(0, 2, 3, 1).numpy(), expected)
