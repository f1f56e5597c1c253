"""Reference of the gRPC contract, from the comments of generator.proto."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

from docs.generate.markdown import cell, code, table

ROOT = Path(__file__).resolve().parents[2]
PROTO = "dcgan/v1/generator.proto"

# Numbers of the fields of FileDescriptorProto and its parts, as paths in SourceCodeInfo use them.
_SYNTAX, _MESSAGES, _ENUMS, _SERVICES = (12,), 4, 5, 6
_MESSAGE_FIELDS, _ENUM_VALUES, _METHODS = 2, 2, 2

_Comments = dict[tuple[int, ...], str]


def proto_head() -> str:
    """Returns the comment at the head of generator.proto, which is the contract in prose."""
    lines = (ROOT / "protos" / PROTO).read_text(encoding="utf-8").splitlines()
    end = next(i for i, line in enumerate(lines) if not line.startswith("//"))
    text = "\n".join(line[3:] for line in lines[:end])
    return f"```text\n{text}\n```\n"


def proto_reference() -> str:
    """Returns every method, message and enum of the contract."""
    file = _descriptor()
    comments: _Comments = {
        tuple(place.path): place.leading_comments for place in file.source_code_info.location
    }

    sections: list[str] = []
    for i, service in enumerate(file.service):
        sections += _service(service, (_SERVICES, i), comments)
    for i, message in enumerate(file.message_type):
        sections += _message(message, (_MESSAGES, i), comments)
    for i, enum in enumerate(file.enum_type):
        sections += _enum(enum, (_ENUMS, i), comments)
    return "\n".join(sections)


def _descriptor() -> FileDescriptorProto:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "descriptors"
        arguments = ["protoc", f"-I{ROOT / 'protos'}", "--include_source_info"]
        code_ = protoc.main([*arguments, f"--descriptor_set_out={out}", PROTO])
        if code_:
            raise RuntimeError(f"protoc failed on {PROTO}")
        return FileDescriptorSet.FromString(out.read_bytes()).file[0]


def _service(
    service: ServiceDescriptorProto, path: tuple[int, ...], comments: _Comments
) -> Iterator[str]:
    rows = []
    for i, method in enumerate(service.method):
        kind = "stream" if method.server_streaming else "unary"
        meaning = cell(comments.get((*path, _METHODS, i), ""))
        rows.append([code(method.name), kind, _link(method.input_type), meaning])
    yield f"## {service.name}\n\n{cell(comments.get(path, ''))}\n"
    yield table(["method", "reply", "request", "meaning"], rows)


def _message(message: DescriptorProto, path: tuple[int, ...], comments: _Comments) -> Iterator[str]:
    rows = []
    for i, field in enumerate(message.field):
        meaning = cell(comments.get((*path, _MESSAGE_FIELDS, i), ""))
        rows.append([str(field.number), code(field.name), _field_type(field), meaning])
    yield f"({message.name.lower()})=\n### {message.name}\n\n{cell(comments.get(path, ''))}\n"
    if rows:
        yield table(["number", "field", "type", "meaning"], rows)


def _enum(enum: EnumDescriptorProto, path: tuple[int, ...], comments: _Comments) -> Iterator[str]:
    rows = []
    for i, value in enumerate(enum.value):
        meaning = cell(comments.get((*path, _ENUM_VALUES, i), ""))
        rows.append([str(value.number), code(value.name), meaning])
    yield f"({enum.name.lower()})=\n### {enum.name}\n\n{cell(comments.get(path, ''))}\n"
    yield table(["number", "value", "meaning"], rows)


def _field_type(field: FieldDescriptorProto) -> str:
    if field.type_name:
        name = _link(field.type_name)
    else:
        name = code(FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower())
    if field.label == FieldDescriptorProto.LABEL_REPEATED:
        return f"repeated {name}"
    return f"optional {name}" if field.proto3_optional else name


def _link(type_name: str) -> str:
    name = type_name.rpartition(".")[2]
    return f"[{name}](#{name.lower()})"
