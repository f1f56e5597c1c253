"""The batches of the parity gate."""

import numpy as np

from dcgan.export.verify.probes import probe_inputs


def test_the_probes_hold_every_batch_zeros_and_a_wide_one():
    batches = probe_inputs(10)
    assert {len(batch.z) for batch in batches} == {1, 2, 3, 7, 32, 64}
    assert any((batch.z == 0).all() for batch in batches)
    assert {4.0, 8.0} <= {np.abs(batch.z).max() for batch in batches}
    assert all(batch.label is None for batch in batches)


def test_the_probes_hold_every_class_in_turn_and_heads_stay_heads():
    batches = probe_inputs(10, 7)
    assert {int(label) for batch in batches for label in batch.label} == set(range(7))
    assert all(
        batch.label.dtype == np.int64 and len(batch.label) == len(batch.z) for batch in batches
    )
    assert np.array_equal(batches[0].label, batches[5].label[:1])
    assert {int(label) for batch in probe_inputs(10, 150)[:18] for label in batch.label} == set(
        range(150)
    )

    for classes in (199, 200, 1000):
        assert {int(label) for batch in probe_inputs(10, classes) for label in batch.label} == set(
            range(classes)
        )
    assert {int(label) for batch in probe_inputs(10, 65_536) for label in batch.label} == {
        *range(1024),
        *range(65_529, 65_536),
    }
