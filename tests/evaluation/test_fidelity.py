import pytest

from dcgan.evaluation import fidelity
from dcgan.evaluation.errors import EvaluationError


def test_only_the_weights_that_define_fid_are_taken(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"other weights")

    with pytest.raises(EvaluationError, match="not 6726825d"):
        fidelity.check_inception(path)

    monkeypatch.setattr(fidelity, "SHA256_PREFIX", "")
    fidelity.check_inception(path)


def test_images_are_given_as_torch_fidelity_takes_them(make_images):
    images = fidelity._Images(make_images(3, channels=1))

    assert len(images) == 3
    assert images[0].shape == (3, 32, 32)
    assert images[0].is_contiguous()
