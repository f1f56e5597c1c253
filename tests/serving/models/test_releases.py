"""Which releases a server finds."""

from tests.serving.support import refuse_to_start


def test_a_missing_repository_or_model_is_said_in_one_sentence(repository, tmp_path):
    assert "is no folder" in refuse_to_start(tmp_path / "nowhere")
    assert "holds no model" in refuse_to_start(tmp_path)
    assert "tiny" in refuse_to_start(repository, "--model", "nobody")
