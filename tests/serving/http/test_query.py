import pytest

from dcgan.serving.api.errors import InvalidFieldError
from dcgan.serving.http.query import (
    GridQuery,
    ImageQuery,
    Look,
    WalkQuery,
    check_no_query,
    check_sides,
    read_avatar_query,
    read_grid_query,
    read_image_query,
    read_walk_query,
)

LAST = 2**64 - 1


@pytest.mark.hostile("Escapes in the name of an HTTP query's field", "shown as `\\u001b`")
def test_the_name_of_an_unknown_field_is_shown_without_controls(manifest):
    with pytest.raises(InvalidFieldError) as caught:
        read_image_query(b"a%1b[2J%0d%0aok%e2%80%ae=1", manifest)
    assert str(caught.value).isprintable()


def test_an_empty_query_means_the_first_image(manifest):
    assert read_image_query(b"", manifest) == ImageQuery(Look(), 0)


def test_every_field_of_an_image(class_manifest):
    query = read_image_query(b"index=3&label=2&truncation=.5&size=64", class_manifest)
    assert query == ImageQuery(Look(label=2, truncation=0.5, size=64), 3)


def test_several_images_are_a_grid(manifest):
    assert read_image_query(b"from=3&n=5", manifest) == GridQuery(Look(), 3, 5)
    assert read_image_query(b"n=5&columns=5", manifest) == GridQuery(Look(), 0, 5, 5)
    assert read_image_query(b"from=3", manifest) == GridQuery(Look(), 3, 1)


def test_the_size_of_the_model_is_no_other_size(manifest):
    assert read_image_query(b"size=8", manifest) == read_image_query(b"", manifest)


@pytest.mark.parametrize("query", [b"n=1024&columns=1", b"n=1024&columns=1024"])
def test_a_grid_fits_into_the_format_of_its_file(manifest, query):
    check_sides(read_grid_query(query, manifest), "webp", manifest)
    wide = read_grid_query(query + b"&size=16", manifest)
    for extension in ("png", "json"):
        check_sides(wide, extension, manifest)
    with pytest.raises(InvalidFieldError, match="columns must give sides of at most 16383 pixels"):
        check_sides(wide, "webp", manifest)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (b"index=-1", "index"),
        (b"index=", "index"),
        (b"index=1.0", "index"),
        (b"index=%D9%A3", "index"),
        (b"index=18446744073709551616", "index"),
        (b"index=" + b"9" * 5000, "index"),
        (b"index=1&index=1", "index"),
        (b"index=1&from=1", "index"),
        (b"Index=1", "Index"),
        (b"foo=1", "foo"),
        (b"=1", ""),
        (b"index", "index"),
        (b"index=%ff", "query"),
        (b"\xff=1", "query"),
        (b"&".join([b"index=1"] * 17), "query"),
        (b"truncation=0", "truncation"),
        (b"truncation=-0.5", "truncation"),
        (b"truncation=1.0000001", "truncation"),
        (b"truncation=nan", "truncation"),
        (b"truncation=inf", "truncation"),
        (b"truncation=1e-60", "truncation"),
        (b"truncation=1e999", "truncation"),
        (b"truncation=0,5", "truncation"),
        (b"truncation=", "truncation"),
        (b"size=0", "size"),
        (b"size=2049", "size"),
        (b"label=0", "label"),
        (b"from=18446744073709551615&n=2", "from"),
        (b"n=0", "n"),
        (b"n=1025", "n"),
        (b"n=4&columns=0", "columns"),
        (b"n=4&columns=5", "columns"),
        (b"n=100&size=512", "n"),
        (b"n=1000&columns=999&size=64", "n"),
    ],
)
def test_the_first_wrong_field_of_an_image_is_named(manifest, query, field):
    with pytest.raises(InvalidFieldError) as error:
        read_image_query(query, manifest)
    assert error.value.field == field
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("query", "value"),
    [(b"index=0", 0), (b"index=18446744073709551615", LAST), (b"index=%31", 1), (b"", 0)],
)
def test_indices_reach_from_0_to_the_last(manifest, query, value):
    assert read_image_query(query, manifest).index == value


def test_the_last_images_of_a_seed_can_be_had(manifest):
    query = b"from=18446744073709551614&n=2"
    assert read_grid_query(query, manifest) == GridQuery(Look(), LAST - 1, 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [(b"1", 1.0), (b"1.", 1.0), (b".5", 0.5), (b"5e-1", 0.5), (b"0.1", 0.10000000149011612)],
)
def test_truncation_is_rounded_to_float32_as_in_grpc(manifest, text, value):
    assert read_image_query(b"truncation=" + text, manifest).look.truncation == value


@pytest.mark.parametrize(
    ("text", "label"), [(b"0", 0), (b"2", 2), (b"cat", 0), (b"DOG", 1), (b"1", 1)]
)
def test_labels_are_numbers_or_names(class_manifest, text, label):
    assert read_image_query(b"label=" + text, class_manifest).look.label == label


@pytest.mark.parametrize("text", ["1e39", "1e308", "9e999"])
def test_a_truncation_beyond_float32_is_refused_without_a_warning(manifest, text):
    with pytest.raises(InvalidFieldError, match="truncation"):
        read_image_query(f"truncation={text}".encode(), manifest)


@pytest.mark.parametrize("text", [b"3", b"-1", b"", b"horse", b"ca%00t"])
def test_a_wrong_label_is_told_the_right_ones(class_manifest, text):
    with pytest.raises(InvalidFieldError, match="must be 0 to 2 or one of cat, Dog, 1"):
        read_image_query(b"label=" + text, class_manifest)


def test_a_walk_has_steps_of_a_duration(manifest):
    assert read_walk_query(b"", manifest) == WalkQuery(Look(), 0, 0, 24, 80, False)
    query = read_walk_query(b"steps=2&frame_ms=20&bounce=1&size=16&index_a=3&index_b=4", manifest)
    assert query == WalkQuery(Look(size=16), 3, 4, 2, 20, True)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (b"steps=1", "steps"),
        (b"steps=241", "steps"),
        (b"steps=100&size=512", "steps"),
        (b"frame_ms=10", "frame_ms"),
        (b"frame_ms=25", "frame_ms"),
        (b"bounce=2", "bounce"),
        (b"bounce=true", "bounce"),
        (b"index=1", "index"),
    ],
)
def test_the_first_wrong_field_of_a_walk_is_named(manifest, query, field):
    with pytest.raises(InvalidFieldError) as error:
        read_walk_query(query, manifest)
    assert error.value.field == field


def test_an_avatar_has_no_index(manifest):
    assert read_avatar_query(b"size=64", manifest) == ImageQuery(Look(size=64), 0)
    with pytest.raises(InvalidFieldError, match="it takes label, truncation, size"):
        read_avatar_query(b"index=1", manifest)


def test_descriptions_take_no_query():
    check_no_query(b"")
    with pytest.raises(InvalidFieldError, match="it takes none"):
        check_no_query(b"a=1")


@pytest.mark.hostile("An HTTP query with a field without a name", "the sentence says so")
def test_a_field_without_a_name_is_called_one(manifest):
    with pytest.raises(InvalidFieldError, match="a field without a name"):
        read_image_query(b"=1", manifest)
