"""The golden images of a release."""

from dcgan.core.hardware import processor_family
from dcgan.core.onnx_session import CPU
from dcgan.export.verify.backends import OnnxBackend
from dcgan.export.verify.inputs import golden_inputs
from dcgan.zoo.golden import Agreement, compare, published_digest, read_golden


def test_a_release_passes_its_own_self_test(release):
    manifest = release.manifest
    backend = OnnxBackend(release.folder / "generator.onnx", "fp32", CPU)
    images = backend(golden_inputs(manifest)).images
    digest = published_digest(manifest, "generator.onnx", CPU, processor_family(CPU))
    assert digest is not None
    assert compare(images, read_golden(release), digest) is Agreement.EXACT
    assert compare(images, read_golden(release), None) is Agreement.CLOSE
