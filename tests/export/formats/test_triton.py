"""A Triton repository: its text is parsed as protobuf, its files are run by ONNX Runtime."""

import dataclasses
import shutil

import onnxruntime as ort
import pytest
from click.testing import CliRunner
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from dcgan.export.cli import main
from dcgan.export.formats.triton import check_free, config, write_triton
from dcgan.zoo.release import RepositoryError

pytestmark = pytest.mark.slow

KINDS = ("KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL")


TYPES = {"TYPE_INVALID": 0, "TYPE_UINT8": 2, "TYPE_INT64": 9, "TYPE_FP32": 11}


STRING, INT32, UINT64, INT64, ENUM, MESSAGE = 9, 5, 4, 3, 14, 11


FIELDS = {
    "Reshape": [("shape", 1, INT64, None, True)],
    "ModelInput": [
        ("name", 1, STRING, None, False),
        ("data_type", 2, ENUM, "DataType", False),
        ("dims", 4, INT64, None, True),
        ("reshape", 5, MESSAGE, "Reshape", False),
    ],
    "ModelOutput": [
        ("name", 1, STRING, None, False),
        ("data_type", 2, ENUM, "DataType", False),
        ("dims", 3, INT64, None, True),
        ("reshape", 5, MESSAGE, "Reshape", False),
    ],
    "ModelInstanceGroup": [("kind", 4, ENUM, "Kind", False), ("count", 2, INT32, None, False)],
    "ModelDynamicBatching": [
        ("preferred_batch_size", 1, INT32, None, True),
        ("max_queue_delay_microseconds", 2, UINT64, None, False),
    ],
    "ModelConfig": [
        ("name", 1, STRING, None, False),
        ("backend", 17, STRING, None, False),
        ("max_batch_size", 4, INT32, None, False),
        ("input", 5, MESSAGE, "ModelInput", True),
        ("output", 6, MESSAGE, "ModelOutput", True),
        ("instance_group", 7, MESSAGE, "ModelInstanceGroup", True),
        ("dynamic_batching", 11, MESSAGE, "ModelDynamicBatching", False),
    ],
}


@pytest.fixture(scope="module")
def model_config():
    """The class of Triton's message ModelConfig."""
    file = descriptor_pb2.FileDescriptorProto(
        name="model_config.proto", package="inference", syntax="proto3"
    )

    for name, values in {
        "DataType": TYPES,
        "Kind": {kind: i for i, kind in enumerate(KINDS)},
    }.items():
        file.enum_type.add(name=name).value.extend(
            descriptor_pb2.EnumValueDescriptorProto(name=key, number=number)
            for key, number in values.items()
        )
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of, repeated in fields:
            added = message.field.add(
                name=field, number=number, type=kind, label=3 if repeated else 1
            )
            if of:
                added.type_name = f".inference.{of}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("inference.ModelConfig"))


def read(model_config, path):
    return text_format.Parse(path.read_text(), model_config())


def test_a_released_model_becomes_one_that_triton_batches(release, folder, model_config):
    write_triton(release, folder, lambda _: None)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "small/config.pbtxt",
        "small/1/model.onnx",
    }
    parsed = read(model_config, folder / "small" / "config.pbtxt")

    assert (parsed.name, parsed.backend, parsed.max_batch_size) == ("small", "onnxruntime", 64)
    assert [(each.name, list(each.dims)) for each in parsed.input] == [("z", [10])]
    assert [(each.name, list(each.dims)) for each in parsed.output] == [("images", [32, 32, 3])]
    assert parsed.HasField("dynamic_batching")
    assert max(parsed.dynamic_batching.preferred_batch_size) <= parsed.max_batch_size
    data = (folder / "small" / "1" / "model.onnx").read_bytes()
    assert data == (release.folder / "generator.onnx").read_bytes()


def test_the_configuration_says_what_the_file_takes_and_gives(labelled, folder, model_config):
    write_triton(labelled, folder, lambda _: None)
    types = {
        "tensor(float)": "TYPE_FP32",
        "tensor(int64)": "TYPE_INT64",
        "tensor(uint8)": "TYPE_UINT8",
    }

    for name, kind in (
        ("labelled", "KIND_AUTO"),
        ("labelled-int8", "KIND_CPU"),
        ("labelled-fp16", "KIND_GPU"),
    ):
        parsed = read(model_config, folder / name / "config.pbtxt")
        session = ort.InferenceSession(
            folder / name / "1" / "model.onnx", providers=["CPUExecutionProvider"]
        )
        for described, real in (
            (parsed.input, session.get_inputs()),
            (parsed.output, session.get_outputs()),
        ):
            assert [each.name for each in described] == [each.name for each in real]
            assert [each.data_type for each in described] == [
                TYPES[types[each.type]] for each in real
            ]
            for each, value in zip(described, real, strict=True):
                inside = list(each.reshape.shape) if each.HasField("reshape") else list(each.dims)
                assert inside == value.shape[1:]
        assert [each.kind for each in parsed.instance_group] == [KINDS.index(kind)]


def test_a_further_version_goes_beside_the_first_and_none_is_overwritten(release, folder, tmp_path):
    write_triton(release, folder, lambda _: None)
    with pytest.raises(RepositoryError, match="exists and is not overwritten"):
        write_triton(release, folder, lambda _: None)
    second = dataclasses.replace(release, manifest=dataclasses.replace(release.manifest, version=2))
    write_triton(second, folder, lambda _: None)
    assert sorted(path.name for path in (folder / "small").iterdir()) == ["1", "2", "config.pbtxt"]


def test_another_model_of_the_same_name_is_refused_and_leaves_nothing(release, folder):
    write_triton(release, folder, lambda _: None)
    (folder / "small" / "config.pbtxt").write_text(
        config(release.manifest, release.manifest.files[0]) + "# mine\n"
    )
    second = dataclasses.replace(release, manifest=dataclasses.replace(release.manifest, version=2))
    with pytest.raises(RepositoryError, match="was edited"):
        write_triton(second, folder, lambda _: None)
    assert sorted(path.name for path in (folder / "small").iterdir()) == ["1", "config.pbtxt"]


def test_a_place_that_is_taken_by_one_of_its_files_is_noticed_before_the_first_is_copied(
    release, folder, tmp_path
):
    (onnx,) = [file for file in release.manifest.files if file.role == "onnx"]
    shutil.copytree(release.folder, copy := tmp_path / "copy")
    shutil.copy(copy / onnx.path, copy / "generator.int8.onnx")
    int8 = dataclasses.replace(onnx, path="generator.int8.onnx", precision="int8")
    files = (*release.manifest.files, int8)
    release = dataclasses.replace(release, folder=copy)
    both = dataclasses.replace(release, manifest=dataclasses.replace(release.manifest, files=files))
    (folder / "small-int8" / "1").mkdir(parents=True)

    with pytest.raises(RepositoryError, match="small-int8/1 exists and is not overwritten"):
        write_triton(both, folder, lambda _: None)
    with pytest.raises(RepositoryError, match="small-int8/1 exists"):
        check_free(folder, "small", 1, ["fp32", "int8"])
    check_free(folder, "small", 1, ["fp32", "fp16"])
    assert not (folder / "small").exists()


def test_the_command_takes_a_run_or_a_released_model(run_folder, folder, tmp_path):
    arguments = [
        str(run_folder),
        "--out",
        str(folder),
        "--name",
        "tiny",
        "--onnx",
        "--triton",
        str(tmp_path / "one"),
    ]
    result = CliRunner().invoke(main, arguments)

    assert result.exit_code == 0, result.output
    again = CliRunner().invoke(
        main, [str(folder / "tiny" / "1"), "--triton", str(tmp_path / "two")]
    )
    assert again.exit_code == 0, again.output
    for name in ("config.pbtxt", "1/model.onnx"):
        assert (tmp_path / "one" / "tiny" / name).read_bytes() == (
            tmp_path / "two" / "tiny" / name
        ).read_bytes()


def test_a_place_that_is_taken_is_noticed_before_anything_is_published(
    run_folder, folder, tmp_path
):
    def arguments(out):
        return [
            str(run_folder),
            "--out",
            str(out),
            "--name",
            "tiny",
            "--onnx",
            "--triton",
            str(tmp_path / "triton"),
        ]

    assert CliRunner().invoke(main, arguments(tmp_path / "first")).exit_code == 0
    assert CliRunner().invoke(main, arguments(folder)).exit_code == 2
    assert not folder.exists()


@pytest.mark.parametrize(
    ("arguments", "piece"),
    [
        (
            ["{run}", "--out", "{out}", "--name", "tiny", "--torchscript", "--triton", "{out}"],
            "--onnx",
        ),
        (["{run}", "--triton", "{out}"], "manifest.json"),
        (["{run}", "--triton", "{out}", "--dry-run"], "leave other options out"),
        (["{run}", "--triton", "{out}", "--int8"], "leave other options out"),
        (
            ["{run}", "--out", "{out}", "--name", "tiny", "--onnx", "--triton", "/proc/triton"],
            "/proc/triton",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(run_folder, folder, arguments, piece):
    result = CliRunner().invoke(
        main, [each.format(run=run_folder, out=folder) for each in arguments]
    )
    assert result.exit_code == 2
    assert piece in result.stderr.strip().splitlines()[-1]
    assert "Traceback" not in result.output
