"""The search for the convolutions that can run in int8."""

import pytest

from dcgan.export.graph.fold import fold
from dcgan.export.int8.calibration import calibrate
from dcgan.export.int8.search import find_plan, is_good_enough, search
from dcgan.export.verify.quality import Quality


def test_the_search_leaves_in_float_what_helps_most_and_no_more(calm):
    plan = calibrate(calm)
    worth = {"hidden.1": 1.0, "hidden.2": 6.0, "head": 3.0}

    def measure(candidate):
        return Quality(
            images=512, psnr=30.0 + sum(worth[name] for name in candidate.floats), max_levels=20
        )

    def found(decibels):
        return search(plan, measure, lambda quality: quality.psnr >= decibels)

    assert found(29.0) == plan
    assert found(35.5).floats == {"hidden.2"}
    assert found(38.0).floats == {"hidden.2", "head"}
    assert found(99.0).floats == {"hidden.2", "head"}  # one stays, for the gate to refuse


@pytest.mark.parametrize(
    ("psnr", "levels", "enough"), [(38.5, 48, True), (38.4, 1, False), (60.0, 49, False)]
)
def test_the_search_wants_some_room_below_the_limits_of_the_gate(psnr, levels, enough):
    assert is_good_enough(Quality(images=512, psnr=psnr, max_levels=levels)) is enough


@pytest.mark.slow
def test_a_network_with_contrast_that_int8_cannot_draw_keeps_layers_in_float(make_generator):
    network = fold(make_generator())
    network.head.weight.mul_(1000.0)
    assert find_plan(network).floats
