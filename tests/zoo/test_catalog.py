"""The catalog: models are listed once, found by name, fetched once by many processes, removed."""

import json
import shutil
import stat
import subprocess
import sys
from dataclasses import replace

import pytest

from dcgan.core.errors import CacheError
from dcgan.core.paths import cache_dir
from dcgan.zoo.cache import fetch_archive, fetch_model, get_or_fetch, remove_model
from dcgan.zoo.catalog import get_model, list_models, model_cache
from dcgan.zoo.download import DownloadError
from dcgan.zoo.manifest import ManifestError
from dcgan.zoo.release import CorruptModelError, RepositoryError
from dcgan.zoo.repository import list_releases


def test_models_are_listed_by_name_the_newest_version_first(repository, copy_as):
    copy_as("toy", 2)
    copy_as("toy", 10)
    copy_as("another-toy", 1)
    entries = list_models("*toy*", repository=repository)

    assert [(entry.name, entry.version) for entry in entries] == [
        ("another-toy", 1),
        ("toy", 10),
        ("toy", 2),
        ("toy", 1),
    ]
    assert {entry.source for entry in entries} == {"folder"}
    assert entries[0].formats == ("onnx fp32",)


def test_a_pattern_chooses_by_name(repository, copy_as):
    copy_as("toy-b", 1)
    assert [entry.name for entry in list_models("toy-?", repository=repository)] == ["toy-b"]


def test_an_entry_of_the_index_stays_as_it_was_when_its_model_is_fetched(zoo, retry):
    entry = get_model("toy", index=zoo, retry=retry)
    fetched = fetch_model(entry, retry)
    assert (entry.source, entry.folder) == ("index", None)
    assert (fetched.source, fetched.folder) == ("fetched", model_cache() / "toy" / "1")
    assert fetched.manifest == entry.manifest


def test_a_damaged_model_is_left_out_of_the_list_and_named_when_asked_for(
    repository, copy_as, caplog
):
    (copy_as("toy-b", 1) / "generator.onnx").unlink()
    assert [entry.name for entry in list_models("toy*", repository=repository)] == ["toy"]
    assert "generator.onnx" in caplog.text
    with pytest.raises(RepositoryError, match=r"generator\.onnx"):
        get_model("toy-b", repository=repository)


def test_a_model_or_version_that_does_not_exist_names_those_that_do(repository, copy_as):
    copy_as("toy", 3)
    with pytest.raises(RepositoryError, match="there is .*toy"):
        get_model("tyo", repository=repository)
    with pytest.raises(RepositoryError, match="no version 2; it has 1, 3"):
        get_model("toy", 2, repository=repository)
    with pytest.raises(ManifestError, match="not a model name"):
        get_model("../toy", repository=repository)


def test_a_model_of_the_index_is_fetched_once(zoo, server, retry):
    entry = get_model("toy", index=zoo, retry=retry)
    assert (entry.source, entry.folder) == ("index", None)
    with pytest.raises(RepositoryError, match="dcgan-zoo fetch toy"):
        entry.release  # noqa: B018 - the property is what is tested
    fetched = fetch_model(entry, retry)

    assert fetched.folder == model_cache() / "toy" / "1"
    fetched.release.verify()
    requests = len(server.requests)
    assert fetch_model(entry, retry) == fetched
    assert len(server.requests) == requests
    assert get_model("toy").source == "fetched"


def test_fetching_survives_a_server_that_behaves_at_last(zoo, server, retry):
    entry = get_model("toy", index=zoo, retry=retry)
    server.script = ["truncated", "status 500"]
    fetch_model(entry, retry).release.verify()


@pytest.mark.hostile(
    "A server that sends other bytes, or goes on for ever",
    "refused; nothing enters the cache",
)
@pytest.mark.parametrize("lie", ["other_bytes", "too_long", "status 404"])
def test_a_server_that_lies_leaves_nothing_in_the_cache(zoo, server, retry, lie):
    entry = get_model("toy", index=zoo, retry=retry)
    server.script = [lie]
    with pytest.raises(DownloadError):
        fetch_model(entry, retry)
    assert list_models("toy*") == []
    assert not list(model_cache().rglob("*"))


@pytest.mark.slow
def test_four_processes_fetch_at_once(zoo, server, own_home):
    program = (
        "import sys\n"
        "from dcgan.zoo.cache import fetch_model\n"
        "from dcgan.zoo.catalog import get_model\n"
        "print(fetch_model(get_model('toy', index=sys.argv[1])).folder)\n"
    )
    command = [sys.executable, "-c", program, zoo]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    folders = [process.communicate(timeout=60)[0].strip() for process in processes]

    assert folders == [str(model_cache() / "toy" / "1")] * 4
    archives = [path for path, _ in server.requests if path.endswith(".tar")]
    assert len(archives) == 1


@pytest.mark.slow
def test_what_was_fetched_and_the_index_serve_offline(zoo, server, retry, caplog):
    fetch_model(get_model("toy", index=zoo, retry=retry), retry)
    server.script = ["silent"] * 100
    assert [entry.source for entry in list_models("toy", index=zoo, retry=retry)] == ["fetched"]
    assert "as it was last time" in caplog.text


def test_an_archive_is_fetched_by_its_address_alone(zoo, server, retry, tmp_path):
    entry = fetch_archive(server.url("/zoo/toy-1.tar"), retry=retry)
    assert entry.release.manifest.name == "toy"
    remove_model("toy")
    assert fetch_archive(str(tmp_path / "packed" / "toy-1.tar")).source == "fetched"
    with pytest.raises(DownloadError, match="is not what was promised"):
        fetch_archive(server.url("/zoo/toy-1.tar"), "0" * 64, retry)


@pytest.mark.hostile(
    "A link planted at the name of a download in the cache",
    "removed; its target is untouched",
)
def test_a_link_planted_in_the_cache_is_not_followed(zoo, server, retry, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    entry = get_model("toy", index=zoo, retry=retry)
    downloads = cache_dir() / "downloads"
    downloads.mkdir()
    downloads.chmod(0o777)
    (downloads / f"{entry.archive.sha256}.tar.part").symlink_to(victim)
    fetch_model(entry, retry).release.verify()
    assert victim.read_bytes() == b"mine"
    assert stat.S_IMODE(downloads.stat().st_mode) == 0o700


def test_a_cache_folder_that_is_a_link_is_refused(zoo, retry, tmp_path):
    entry = get_model("toy", index=zoo, retry=retry)
    (tmp_path / "elsewhere").mkdir()
    (cache_dir() / "downloads").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CacheError, match="not a folder"):
        fetch_model(entry, retry)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_model_that_another_process_fetched_from_elsewhere_meanwhile_is_found_out(zoo, retry):
    entry = get_model("toy", index=zoo, retry=retry)
    fetch_model(entry, retry)
    other = replace(entry, manifest=replace(entry.manifest, description="Something else."))
    with pytest.raises(RepositoryError, match="is not the toy of the index"):
        fetch_model(other, retry)


def test_a_fetched_model_that_was_damaged_is_named_with_the_cure(zoo, retry):
    fetched = fetch_model(get_model("toy", index=zoo, retry=retry), retry)
    file = fetched.folder / "generator.onnx"
    file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(CorruptModelError, match="dcgan-zoo remove"):
        fetch_model(get_model("toy", index=zoo, retry=retry), retry)
    remove_model("toy")
    assert fetch_model(get_model("toy", index=zoo, retry=retry), retry).release.verify() is None


def test_what_is_here_is_taken_before_the_index_is_asked(zoo, server, retry):
    with pytest.raises(RepositoryError, match="no model 'nothing'"):
        get_or_fetch("nothing", zoo)
    fetched = get_or_fetch("toy", zoo)
    server.requests.clear()
    assert get_or_fetch("toy", zoo) == replace(fetched, source="fetched", archive=None)
    assert server.requests == []


def test_only_fetched_models_are_removed(zoo, repository, copy_as, retry):
    with pytest.raises(RepositoryError, match="not among the fetched"):
        remove_model("toy")
    fetch_model(get_model("toy", index=zoo, retry=retry), retry)
    with pytest.raises(RepositoryError, match="version 7 of toy"):
        remove_model("toy", 7)
    assert remove_model("toy") == [model_cache() / "toy" / "1"]
    assert list(model_cache().iterdir()) == []
    assert get_model("toy", repository=repository).source == "folder"


@pytest.mark.parametrize("cure", ["fetch", "remove"])
def test_what_a_killed_removal_leaves_is_no_model_and_is_removed(zoo, retry, caplog, cure):
    folder = fetch_model(get_model("toy", index=zoo, retry=retry), retry).folder
    trash = model_cache() / ".removed-x"
    trash.mkdir()
    folder.rename(trash / "1")

    assert list_models("toy") == []
    assert list_releases(model_cache()) == []
    assert caplog.text == ""
    if cure == "fetch":
        fetch_model(get_model("toy", index=zoo, retry=retry), retry)
    else:
        with pytest.raises(RepositoryError, match="not among the fetched"):
            remove_model("toy")
    assert not trash.exists()


@pytest.mark.parametrize("cure", ["fetch", "remove"])
def test_what_a_killed_fetch_leaves_is_removed(zoo, retry, cure):
    entry = get_model("toy", index=zoo, retry=retry)
    part = model_cache() / "toy" / ".1.0123456789abcdef.part"
    fetch_model(entry, retry)
    shutil.copytree(part.parent / "1", part)

    if cure == "fetch":
        shutil.rmtree(part.parent / "1")
        fetch_model(entry, retry)
        assert [path.name for path in part.parent.iterdir()] == ["1"]
    else:
        remove_model("toy")
        assert list(model_cache().iterdir()) == []


@pytest.mark.parametrize("digest", ["abc", "../" * 22, "g" * 64])
def test_a_digest_that_is_none_is_refused(server, digest):
    with pytest.raises(DownloadError, match="is not a SHA-256"):
        fetch_archive(server.url("/zoo/toy-1.tar"), digest)


def test_a_digest_may_be_in_capitals(zoo, server, retry):
    digest = json.loads(server.files["/zoo/index.json"])["models"][0]["sha256"].upper()
    assert fetch_archive(server.url("/zoo/toy-1.tar"), digest, retry).name == "toy"
