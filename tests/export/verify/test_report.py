"""The parity table: what is shown is what was judged."""

import pytest

from dcgan.core.onnx_session import CPU
from dcgan.export.verify.distance import Distance
from dcgan.export.verify.quality import Quality
from dcgan.export.verify.report import ParityReport
from dcgan.export.verify.tolerances import TOLERANCES


def distance(precision, **values):
    facts = {
        "file": f"generator.{precision}.onnx",
        "precision": precision,
        "provider": CPU,
        "max_abs_error": 1e-6,
        "mean_abs_error": 1e-7,
        "p999_abs_error": 1e-6,
        "max_levels": 1,
        "pixels_changed": 0.0,
        "pixels_by_levels": {},
        "batch_invariant": True,
        "batch_error": 0.0,
        "limits": TOLERANCES[precision, CPU],
    }
    return Distance(**facts | values)


def row(distance):
    report = ParityReport(
        reference="a network",
        batches=(1,),
        seeds=(0,),
        widest=(4.0,),
        processor="x86-64-v4",
        versions={},
        distances=(distance,),
    )
    header, _, line = report.table().splitlines()
    names = [cell.strip() for cell in header.strip("|").split("|")]
    return dict(zip(names, [cell.strip() for cell in line.strip("|").split("|")], strict=True))


def test_an_int8_file_shows_the_levels_and_the_psnr_that_it_is_held_to():
    quality = Quality(images=4096, psnr=40.84, max_levels=41)
    cells = row(distance("int8", max_levels=254, max_abs_error=1.9, quality=quality))
    assert cells["levels"] == "41 (max 64)"
    assert cells["PSNR"] == "40.8 dB (min 38.0)"
    assert cells["verdict"] == "passed"


@pytest.mark.parametrize(("levels", "verdict"), [(1, "passed"), (2, "FAILED")])
def test_a_float32_file_shows_the_levels_over_all_probes(levels, verdict):
    cells = row(distance("fp32", max_levels=levels))
    assert cells["levels"] == f"{levels} (max 1)"
    assert cells["PSNR"] == ""
    assert cells["verdict"] == verdict


def test_a_stage_that_is_only_reported_has_no_limit():
    cells = row(distance("fp32", max_levels=3, limits=None))
    assert (cells["levels"], cells["verdict"]) == ("3", "reported")
