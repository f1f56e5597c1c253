import hashlib

from dcgan.serving.http.avatar import text_seed


def test_the_seed_is_the_head_of_the_sha256_of_the_text():
    digest = hashlib.sha256(b"ada").hexdigest()
    assert text_seed("ada") == int(digest[:16], 16) == 18297636060252690398


def test_the_two_ways_to_write_an_umlaut_are_one_text():
    assert text_seed("Zo\u00eb") == text_seed("Zoe\u0308")
    assert text_seed("Zo\u00eb") == int(hashlib.sha256("Zo\u00eb".encode()).hexdigest()[:16], 16)
