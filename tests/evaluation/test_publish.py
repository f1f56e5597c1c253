import pytest

from dcgan.evaluation.publish import publish_with_metrics
from dcgan.zoo.manifest import Metric
from dcgan.zoo.repository import RepositoryError

FIRST = Metric(name="KD-Lite0 x1000", value=18.2, protocol="generator.onnx, lite0-v1, n=1,300")
SECOND = Metric(name="FD-Lite0", value=61.5, protocol="generator.onnx, lite0-v1, n=1,300")


def test_figures_are_in_manifest_and_card_and_files_stay_as_they_are(release, tmp_path):
    published = publish_with_metrics(release, [FIRST], tmp_path / "models")
    again = publish_with_metrics(published, [FIRST, SECOND], tmp_path / "more")
    again.verify()
    card = again.path(again.manifest.file("card")).read_text()

    assert again.manifest.metrics == (FIRST, SECOND)
    assert again.manifest.file("onnx") == release.manifest.file("onnx")
    assert again.manifest.parity == release.manifest.parity
    assert "| KD-Lite0 x1000 | 18.2 |" in card
    assert "Nothing was measured" not in card
    assert release.manifest.metrics == ()


def test_a_version_that_exists_is_not_changed(release, tmp_path):
    publish_with_metrics(release, [FIRST], tmp_path / "models")
    with pytest.raises(RepositoryError, match="exists"):
        publish_with_metrics(release, [FIRST], tmp_path / "models")
