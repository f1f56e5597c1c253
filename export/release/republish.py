"""Publishes a released model again: with further metrics, with a new card, with safetensors."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dcgan.core.bounded import read_bounded
from dcgan.core.schema import SchemaError, dump_json, parse_json
from dcgan.export.errors import ExportError, LevelMismatchError
from dcgan.export.formats.onnx_file import read_onnx_metadata, read_onnx_weights
from dcgan.export.formats.released_weights import find_weights, read_weights
from dcgan.export.formats.safetensors_file import write_safetensors
from dcgan.export.graph.fold import FoldedGenerator, round_to_float16
from dcgan.export.release.golden_images import golden_digests
from dcgan.export.release.model_card import write_model_card
from dcgan.export.release.parity_report import write_parity_report
from dcgan.export.verify.gate import compare_with_weights
from dcgan.export.verify.loading import load_backends
from dcgan.export.verify.report import ParityReport
from dcgan.export.verify.threads import one_torch_thread
from dcgan.export.verify.trust import can_hold_code
from dcgan.export.verify.weight_check import check_weights
from dcgan.zoo.manifest import FILE_NAME, GoldenDigest, Manifest, Metric, ModelFile
from dcgan.zoo.publishing import publish
from dcgan.zoo.release import Release, describe_file, read_release

_SAFETENSORS = "generator.safetensors"
_MAX_REPORT_BYTES = 2**22
_NUMBER_OF_IMAGES = re.compile(r"\bn=[\d,]+")


def republish(
    release: Release,
    repository: Path,
    *,
    metrics: Sequence[Metric] = (),
    safetensors: bool = False,
    trust_code: bool = False,
) -> Release:
    """Publishes a copy of a model in another repository, with a new card.

    The ONNX files, and with them the digests that name images, stay byte for byte as they are. If
    weights are added, or the parity report is that of another release of dcgan-zoo, the parity gate
    runs again.

    Args:
        release: the model.
        repository: folder of model folders.
        metrics: added to those that it has; one of the same name, file and reference is replaced.
        safetensors: also write the weights of the float32 ONNX file as safetensors.
        trust_code: if the gate runs again, also load files that can hold code.

    Returns:
        The copy.

    Raises:
        ExportError: if the model has no float weights, or if the gate must run again on a file that
            can hold code, which is not trusted.
        ParityError: if the gate runs again and a file does not pass.
        RepositoryError: if the model is damaged, the version exists there, or the repository cannot
            be written.
        UnsafeGraphError: if an ONNX file holds what no released graph needs.
    """
    release.verify()
    manifest = release.manifest
    with publish(repository, manifest.name, manifest.version) as folder:
        # Copy everything but the card and the report, and add the weights.
        files = [file for file in manifest.files if file.role not in ("card", "parity")]
        for file in files:
            shutil.copyfile(release.path(file), folder / file.path)
        adds_weights = safetensors and manifest.file("safetensors") is None
        if adds_weights:
            files.insert(_place_of_weights(files), _write_weights(release, folder))
        draft = replace(
            manifest, files=tuple(files), metrics=merge_metrics(manifest.metrics, metrics)
        )

        # Keep the parity report if it is complete, or else run the gate again.
        report = None if adds_weights else _read_parity_report(release)
        if report is None:
            if not trust_code:
                _check_holds_no_code(release)
            draft, report = _verify_again(draft, folder)

        # Write the report, the card and the manifest.
        extras = [write_parity_report(report, folder), write_model_card(draft, report, folder)]
        described = replace(draft, files=(*files, *extras))
        (folder / FILE_NAME).write_text(dump_json(described), encoding="utf-8")

    return read_release(repository / manifest.name / str(manifest.version))


def merge_metrics(old: Sequence[Metric], new: Sequence[Metric]) -> tuple[Metric, ...]:
    """Returns both, without the old ones that were measured again, on any number of images."""
    measured = {_subject(metric) for metric in new}
    kept = [metric for metric in old if _subject(metric) not in measured]
    return (*kept, *new)


def _subject(metric: Metric) -> tuple[str, str]:
    """Returns what a metric measures: its name, and the protocol without the number of images."""
    return metric.name, _NUMBER_OF_IMAGES.sub("n", metric.protocol)


def _read_parity_report(release: Release) -> ParityReport | None:
    """Reads the parity report; None if another release of dcgan-zoo wrote it, or there is none."""
    file = release.manifest.file("parity")
    if file is None:
        return None
    try:
        text = read_bounded(release.path(file), _MAX_REPORT_BYTES).decode("utf-8")
        return parse_json(ParityReport, text, file.path)
    except (OSError, UnicodeDecodeError, SchemaError):
        return None


def _check_holds_no_code(release: Release) -> None:
    """Checks that no file can hold code, which would run while it is verified again.

    Raises:
        ExportError: names the first file that can.
    """
    for file in release.manifest.files:
        if can_hold_code(file):
            raise ExportError(
                f"{file.path} would have to be verified again, and loading it can run code; if you "
                f"trust its author, run dcgan-export {release.folder} --out DIR --safetensors "
                "--trust-code"
            )


@one_torch_thread()  # as in the export
def _verify_again(draft: Manifest, folder: Path) -> tuple[Manifest, ParityReport]:
    """Runs the parity gate on files that were published, against the weights that they hold.

    Returns:
        The manifest with the verdicts, and with digests of golden images for this processor family
        where it has none; and the report.

    Raises:
        ParityError: if a file is not the function that was released.
    """
    network = _released_network(draft, folder)
    backends = load_backends(draft.files, folder, draft)
    check_weights(draft.files, folder, network)
    report = compare_with_weights(network, backends)
    report.raise_failure()

    known = {_origin(digest): digest for digest in draft.golden.digests}
    for digest in golden_digests(backends, draft):
        if known.setdefault(_origin(digest), digest) != digest:
            raise LevelMismatchError(f"{digest.path} does not make its golden images any more")

    golden = replace(draft.golden, digests=tuple(known.values()))
    verdicts = report.verdicts({file.path for file in draft.files})
    return replace(draft, golden=golden, parity=verdicts), report


def _origin(digest: GoldenDigest) -> GoldenDigest:
    """Returns what made the golden images of a digest."""
    return replace(digest, sha256="0" * 64)


def _released_network(draft: Manifest, folder: Path) -> FoldedGenerator:
    weights = find_weights(draft)
    if weights is None:
        raise ExportError(f"{draft.name} publishes no float weights; export the model again")
    return read_weights(weights, folder, draft)


def _place_of_weights(files: Sequence[ModelFile]) -> int:
    """Returns where an export lists the weights: after the other files that compute images."""
    return sum(file.precision is not None for file in files)


def _write_weights(release: Release, folder: Path) -> ModelFile:
    """Writes the weights of the float32 ONNX file, half as large if they are rounded to float16."""
    graph = release.manifest.file("onnx", "fp32")
    if graph is None:
        raise ExportError(f"{release.folder} has no float32 ONNX file; export the model again")
    source = release.path(graph)
    network = read_onnx_weights(source)

    float16 = _is_rounded(network)
    path = folder / _SAFETENSORS
    write_safetensors(network, path, metadata=read_onnx_metadata(source), float16=float16)
    return describe_file(path, "safetensors", "fp16" if float16 else "fp32")


def _is_rounded(network: FoldedGenerator) -> bool:
    rounded = round_to_float16(network).state_dict()
    return all(bool((rounded[name] == w).all()) for name, w in network.state_dict().items())
