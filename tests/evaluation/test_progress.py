import sys

from dcgan.evaluation.progress import show_decoding, show_progress


def test_a_log_has_one_line_for_each_stage(capsys):
    assert list(show_progress(range(3), "generating images")) == [0, 1, 2]
    assert list(show_decoding(range(2))) == [0, 1]
    shown = capsys.readouterr()

    assert shown.err.splitlines() == ["generating images ...", "decoding images ..."]
    assert shown.out == ""


def test_a_terminal_has_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(show_progress(range(3), "generating images")) == [0, 1, 2]

    assert "0/3" in capsys.readouterr().err
