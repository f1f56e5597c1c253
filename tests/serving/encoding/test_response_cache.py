from prometheus_client import CollectorRegistry

from dcgan.serving.encoding.response_cache import ResponseCache


def read(registry: CollectorRegistry) -> dict[str, float | None]:
    names = ("hits_total", "misses_total", "evictions_total", "bytes")
    return {name: registry.get_sample_value(f"dcgan_cache_{name}") for name in names}


def test_what_is_kept_is_found_again():
    registry = CollectorRegistry()
    cache = ResponseCache(100, registry)
    assert cache.find("a") is None
    cache.add("a", b"x" * 10)
    cache.add("a", b"y" * 10)
    assert cache.find("a") == b"x" * 10
    assert read(registry) == {"hits_total": 1, "misses_total": 1, "evictions_total": 0, "bytes": 10}


def test_what_was_not_used_for_longest_goes_first():
    registry = CollectorRegistry()
    cache = ResponseCache(30, registry)
    for tag in "abc":
        cache.add(tag, tag.encode() * 10)
    cache.find("a")
    cache.add("d", b"d" * 15)
    assert [cache.find(tag) is not None for tag in "abcd"] == [True, False, False, True]
    assert read(registry)["evictions_total"] == 2
    assert read(registry)["bytes"] == 25


def test_a_file_that_is_too_large_is_not_kept():
    cache = ResponseCache(10)
    cache.add("a", b"x")
    cache.add("b", b"x" * 11)
    assert (cache.find("a"), cache.find("b")) == (b"x", None)


def test_several_files_are_found_together_or_not_at_all():
    cache = ResponseCache(100)
    cache.add("a", b"1")
    cache.add("b", b"2")
    assert cache.find_all(["b", "a"]) == [b"2", b"1"]
    assert cache.find_all(["a", "c"]) is None


def test_without_bytes_nothing_is_kept_or_counted():
    registry = CollectorRegistry()
    cache = ResponseCache(0, registry)
    cache.add("a", b"x")
    assert not cache.is_enabled
    assert cache.find("a") is None
    assert cache.find_all(["a"]) is None
    assert set(read(registry).values()) == {0}
