"""The index of models: read from anywhere, checked, and kept for a time without network."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from dcgan.core.schema import SchemaError
from dcgan.zoo.cache import fetch_model
from dcgan.zoo.catalog import get_model, list_models, model_cache
from dcgan.zoo.download import DownloadError
from dcgan.zoo.index import _resolve, read_index
from dcgan.zoo.manifest import ManifestError
from dcgan.zoo.release import RepositoryError


def test_an_index_is_read_by_many_at_once(zoo, retry):
    with ThreadPoolExecutor(8) as readers:
        indexes = list(readers.map(lambda _: read_index(zoo, retry), range(64)))
    assert all(index == indexes[0] for index in indexes)


def test_an_index_that_was_never_read_is_an_error_offline(server, retry):
    with pytest.raises(DownloadError, match="404"):
        list_models(index=server.url("/nowhere/index.json"), retry=retry)


def test_an_index_is_read_from_a_folder_or_file_too(zoo, tmp_path):
    for location in (tmp_path / "packed", tmp_path / "packed" / "index.json"):
        (entry,) = read_index(str(location)).models
        assert entry.url == (tmp_path / "packed" / "toy-1.tar").as_uri()


def test_the_address_of_a_folder_means_its_index(zoo, server, retry):
    assert read_index(server.url("/zoo/"), retry) == read_index(zoo, retry)


def test_a_web_page_is_no_index_and_the_error_says_what_is_wanted(server, retry):
    server.files["/page"] = b"<html></html>"
    with pytest.raises(SchemaError, match="not valid JSON.*--index takes the address of an index"):
        read_index(server.url("/page"), retry)


@pytest.mark.hostile("An index of 60 MB, which would take 2.4 GB to parse", "refused above 8 MiB")
def test_an_index_of_absurd_size_is_not_parsed(server, retry, monkeypatch, tmp_path):
    monkeypatch.setattr("dcgan.zoo.index._MAX_INDEX_BYTES", 1000)
    server.files["/index.json"] = b"[" * 1001
    with pytest.raises(DownloadError, match="1001 bytes|is longer than the promised 1000 bytes"):
        read_index(server.url("/index.json"), retry)
    (tmp_path / "index.json").write_bytes(b"[" * 1001)
    with pytest.raises(DownloadError, match="it has over 1000 bytes"):
        read_index(str(tmp_path))


@pytest.mark.hostile(
    "An index with a password in an address",
    "refused, without the password in the message",
)
def test_an_index_with_a_user_name_in_an_address_is_refused(zoo, server, retry):
    change_index(server, url="http://me:secret@127.0.0.1/toy-1.tar")
    with pytest.raises(ManifestError, match="user name") as caught:
        read_index(zoo, retry)
    assert "secret" not in str(caught.value)


def test_an_index_behind_https_may_not_lead_to_plain_http(zoo, retry):
    (entry,) = read_index(zoo, retry).models
    with pytest.raises(DownloadError, match="which is not protected by https"):
        _resolve(entry, "https://host/index.json")


def change_index(server, **changes):
    index = json.loads(server.files["/zoo/index.json"])
    index["models"][0].update(changes)
    server.files["/zoo/index.json"] = json.dumps(index).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"bytes": 0},
        {"bytes": 2**60},
        {"sha256": "abc"},
        {"url": 7},
        {"manifest": {}},
        {"surprise": 1},
    ],
    ids=str,
)
def test_an_index_that_is_not_valid_is_refused(zoo, server, retry, changes):
    change_index(server, **changes)
    with pytest.raises((ManifestError, SchemaError)):
        read_index(zoo, retry)


@pytest.mark.hostile("An index that points to `file:///etc/passwd`", "refused")
def test_an_index_on_the_network_may_not_point_into_this_machine(zoo, server, retry):
    change_index(server, url="file:///etc/passwd")
    with pytest.raises(
        DownloadError, match="leads to file:///etc/passwd, which is not a web address"
    ):
        read_index(zoo, retry)


@pytest.mark.hostile(
    "An archive that holds another model than its index says",
    "refused; nothing enters the cache",
)
def test_an_index_that_promises_another_model_is_found_out(zoo, server, retry):
    index = json.loads(server.files["/zoo/index.json"])
    index["models"][0]["manifest"]["description"] = "Something else."
    server.files["/zoo/index.json"] = json.dumps(index).encode()
    with pytest.raises(
        RepositoryError, match="version 1 of 'toy', which is not what the index promised"
    ):
        fetch_model(get_model("toy", index=zoo, retry=retry), retry)
    assert list(model_cache().glob("*/*")) == []  # nor under the name that the archive gives itself


def test_a_captive_portal_does_not_replace_the_kept_index(zoo, server, retry, caplog):
    assert read_index(zoo, retry).models
    server.files["/zoo/index.json"] = b"<html>Please log in</html>"
    for _ in range(2):
        assert read_index(zoo, retry).models
    assert "as it was last time" in caplog.text
