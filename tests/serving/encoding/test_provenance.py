"""The provenance message of a reply."""

import pytest

from dcgan.core.onnx_session import CPU, CUDA
from dcgan.serving.encoding.provenance import provenance_message
from dcgan.v1 import generator_pb2 as pb
from dcgan.zoo.golden import Agreement
from dcgan.zoo.repository import find_release


@pytest.mark.parametrize(("provider", "batch_size", "field"), [(CPU, None, 0), (CUDA, 256, 256)])
def test_it_names_the_model_the_provider_and_the_batch_size(
    repository, provider, batch_size, field
):
    manifest = find_release(repository, "tiny").manifest
    message = provenance_message(manifest, "ab" * 32, provider, Agreement.CLOSE, batch_size)

    assert message == pb.Provenance(
        model=manifest.name,
        version=manifest.version,
        digest="ab" * 32,
        noise_scheme=manifest.noise_scheme,
        provider=provider,
        agreement=pb.AGREEMENT_CLOSE,
        batch_size=field,
    )
