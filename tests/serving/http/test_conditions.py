import pytest

from dcgan.serving.http.conditions import any_match, none_match

TAG = '"abc-_1"'


@pytest.mark.parametrize(
    "field", [TAG, f"W/{TAG}", "*", " * ", f'"x", {TAG}', f'W/"x" ,{TAG} ', f'"a,b",{TAG}']
)
def test_a_known_tag_stops_the_request(field):
    assert not none_match(field, TAG)


@pytest.mark.parametrize(
    "field",
    [None, "", '"x"', "abc-_1", "garbage", '"unclosed', f"{TAG} {TAG}", ",", "\x00", '"' * 9999],
)
def test_other_tags_and_garbage_let_it_go_on(field):
    assert none_match(field, TAG)


@pytest.mark.parametrize("field", [None, "*", TAG, f'"x", {TAG}', "garbage"])
def test_if_match_lets_a_known_tag_go_on(field):
    assert any_match(field, TAG)


@pytest.mark.parametrize("field", ['"x"', f"W/{TAG}", '"x", "y"'])
def test_if_match_stops_others_and_weak_ones(field):
    assert not any_match(field, TAG)
