import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).resolve().parents[3] / "scripts" / "datasets"
SCRIPTS = ("avatars64", "emoji64", "kanji64")


def run(words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def in_folder(program: str) -> subprocess.CompletedProcess[str]:
    """Runs a few lines of Python that import the scripts as modules."""
    return run(["-c", f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n{program}"])


@pytest.mark.parametrize(
    ("script", "program"), [("avatars64", "node"), ("emoji64", "npm"), ("kanji64", "apt-get")]
)
def test_without_its_program_a_script_says_what_is_missing(script, program, tmp_path):
    out = tmp_path / "out.zip"
    done = run([str(FOLDER / f"{script}.py"), "--out", str(out)], PATH=str(tmp_path))

    assert done.returncode == 2
    assert f"needs the program {program}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_existing_file_is_not_overwritten(script, tmp_path):
    out = tmp_path / "out.zip"
    out.write_bytes(b"mine")
    done = run([str(FOLDER / f"{script}.py"), "--out", str(out)])

    assert done.returncode == 2
    assert "exists" in done.stderr
    assert out.read_bytes() == b"mine"


def test_without_network_npm_fails_in_one_sentence(tmp_path):
    out = tmp_path / "out.zip"
    done = run(
        [str(FOLDER / "emoji64.py"), "--out", str(out)],
        npm_config_registry="http://127.0.0.1:9/",
        npm_config_fetch_retries="0",
        npm_config_cache=str(tmp_path / "cache"),
    )

    if "needs the program npm" in done.stderr:
        pytest.skip("npm is not installed")
    assert done.returncode == 2
    assert "npm ci" in done.stderr
    assert "check the network" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "settings",
    [
        'Acquire::http::Proxy "http://127.0.0.1:9/"; Acquire::Retries "0";',
        'Dir::State::lists "{}";',
    ],
    ids=["no network", "no lists of packages"],
)
def test_without_network_apt_fails_in_one_sentence(settings, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "apt.conf").write_text(settings.format(tmp_path / "empty"))
    out = tmp_path / "out.zip"
    done = run(
        [str(FOLDER / "kanji64.py"), "--out", str(out)], APT_CONFIG=str(tmp_path / "apt.conf")
    )

    if "needs the program" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 2
    assert "apt-get download" in done.stderr
    assert "run apt-get update, or check the network" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not out.exists()


def test_a_package_with_another_digest_is_refused(tmp_path):
    package = tmp_path / "fonts.deb"
    package.write_bytes(b"other fonts")
    done = in_folder(
        f"import install, pathlib\n"
        f"try:\n  install.check_sha256(pathlib.Path({str(package)!r}), '0' * 64, 'the package')\n"
        f"except install.DatasetError as error:\n  print(error)"
    )

    assert "the package has sha256" in done.stdout


def test_images_with_another_digest_are_refused_and_not_written(tmp_path):
    out = tmp_path / "out.zip"
    done = in_folder(
        f"import install, pathlib, numpy, pinned_zip\n"
        f"images = numpy.zeros((2, 64, 64, 3), numpy.uint8)\n"
        f"labels = numpy.array([0, 1])\n"
        f"out = pathlib.Path({str(out)!r})\n"
        f"try:\n  pinned_zip.write_pinned_zip(out, images, labels, ('a', 'b'), "
        f"pixels_sha256='0' * 64, zip_sha256=None)\n"
        f"except install.DatasetError as error:\n  print(error)"
    )

    assert "the images have sha256" in done.stdout
    assert not out.exists()


def test_the_zip_has_labels_class_names_and_the_same_bytes_each_time(tmp_path):
    program = (
        "import install, pathlib, numpy, pinned_zip\n"
        "images = numpy.arange(2 * 64 * 64 * 3, dtype=numpy.uint8).reshape(2, 64, 64, 3)\n"
        "pinned_zip.write_pinned_zip(pathlib.Path({!r}), images, numpy.array([1, 0]), ('a', 'b'), "
        "pixels_sha256=pinned_zip.dataset_digest(images, numpy.array([1, 0])), zip_sha256='0' * 64)"
    )
    outs = [tmp_path / "a.zip", tmp_path / "b.zip"]
    done = [in_folder(program.format(str(out))) for out in outs]

    assert [each.returncode for each in done] == [0, 0]
    assert "compresses in another way" in done[0].stdout
    assert outs[0].read_bytes() == outs[1].read_bytes()
    with zipfile.ZipFile(outs[0]) as archive:
        table = json.loads(archive.read("dataset.json"))
    assert [label for _, label in table["labels"]] == [1, 0]
    assert table["class_names"] == ["a", "b"]


def test_avatars_are_the_same_each_time(tmp_path):
    outs = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for out in outs:
        done = run([str(FOLDER / "avatars64.py"), "--out", str(out), "--count", "12"])
        if done.returncode == 2 and ("needs the program" in done.stderr or "npm ci" in done.stderr):
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr

    assert outs[0].read_bytes() == outs[1].read_bytes()
    assert "12 images, 4 classes" in done.stdout
