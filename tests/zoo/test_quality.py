from dcgan.zoo.manifest import Metric
from dcgan.zoo.quality import (
    OTHER_REAL,
    Figures,
    baseline_metric,
    figures_of_baselines,
    figures_of_file,
    is_baseline,
)

HALF = "real, half of the classes"
METRICS = (
    Metric(name="KD-Lite0 x1000", value=18.6, protocol="a.onnx, p, n=1,300"),
    Metric(name="recall", value=0.3, protocol="a.onnx, p, n=1,300"),
    Metric(name="recall", value=0.4, protocol="a.onnx, p, n=10,000"),
    Metric(name="recall", value=0.5, protocol="b.onnx, p, n=10,000"),
    Metric(name=baseline_metric("recall", OTHER_REAL), value=0.9, protocol="p, n=10,000"),
    Metric(name=baseline_metric("recall", HALF), value=0.7, protocol="p, n=10,000"),
    Metric(name=baseline_metric("KD-Lite0 x1000", HALF), value=6.5, protocol="p, n=10,000"),
)


def test_the_figures_of_a_file_are_grouped_by_protocol_the_newest_last():
    assert figures_of_file(METRICS, "a.onnx") == [
        Figures(
            images="a.onnx", protocol="p, n=1,300", values={"KD-Lite0 x1000": 18.6, "recall": 0.3}
        ),
        Figures(images="a.onnx", protocol="p, n=10,000", values={"recall": 0.4}),
    ]


def test_real_images_are_told_from_files_also_where_their_name_has_an_of():
    assert [is_baseline(metric) for metric in METRICS] == [False] * 4 + [True] * 3
    assert figures_of_baselines(METRICS) == [
        Figures(images=OTHER_REAL, protocol="p, n=10,000", values={"recall": 0.9}),
        Figures(images=HALF, protocol="p, n=10,000", values={"recall": 0.7, "KD-Lite0 x1000": 6.5}),
    ]
