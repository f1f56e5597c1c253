from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ImageFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMAGE_FORMAT_UNSPECIFIED: _ClassVar[ImageFormat]
    IMAGE_FORMAT_RGB8: _ClassVar[ImageFormat]
    IMAGE_FORMAT_PNG: _ClassVar[ImageFormat]
    IMAGE_FORMAT_PNG_GRID: _ClassVar[ImageFormat]

class Agreement(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AGREEMENT_UNSPECIFIED: _ClassVar[Agreement]
    AGREEMENT_EXACT: _ClassVar[Agreement]
    AGREEMENT_CLOSE: _ClassVar[Agreement]
IMAGE_FORMAT_UNSPECIFIED: ImageFormat
IMAGE_FORMAT_RGB8: ImageFormat
IMAGE_FORMAT_PNG: ImageFormat
IMAGE_FORMAT_PNG_GRID: ImageFormat
AGREEMENT_UNSPECIFIED: Agreement
AGREEMENT_EXACT: Agreement
AGREEMENT_CLOSE: Agreement

class Provenance(_message.Message):
    __slots__ = ("model", "version", "digest", "noise_scheme", "provider", "agreement", "batch_size")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    NOISE_SCHEME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: int
    digest: str
    noise_scheme: str
    provider: str
    agreement: Agreement
    batch_size: int
    def __init__(self, model: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., noise_scheme: _Optional[str] = ..., provider: _Optional[str] = ..., agreement: _Optional[_Union[Agreement, str]] = ..., batch_size: _Optional[int] = ...) -> None: ...

class GenerateRequest(_message.Message):
    __slots__ = ("seed", "n", "model", "version", "offset", "label", "format", "truncation")
    SEED_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    seed: int
    n: int
    model: str
    version: int
    offset: int
    label: int
    format: ImageFormat
    truncation: float
    def __init__(self, seed: _Optional[int] = ..., n: _Optional[int] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., offset: _Optional[int] = ..., label: _Optional[int] = ..., format: _Optional[_Union[ImageFormat, str]] = ..., truncation: _Optional[float] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("pixels", "png", "n", "height", "width", "channels", "offset", "provenance", "seed")
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    pixels: bytes
    png: _containers.RepeatedScalarFieldContainer[bytes]
    n: int
    height: int
    width: int
    channels: int
    offset: int
    provenance: Provenance
    seed: int
    def __init__(self, pixels: _Optional[bytes] = ..., png: _Optional[_Iterable[bytes]] = ..., n: _Optional[int] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., channels: _Optional[int] = ..., offset: _Optional[int] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., seed: _Optional[int] = ...) -> None: ...

class GenerateStreamRequest(_message.Message):
    __slots__ = ("seed", "n", "model", "version", "offset", "label", "format", "truncation")
    SEED_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    seed: int
    n: int
    model: str
    version: int
    offset: int
    label: int
    format: ImageFormat
    truncation: float
    def __init__(self, seed: _Optional[int] = ..., n: _Optional[int] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., offset: _Optional[int] = ..., label: _Optional[int] = ..., format: _Optional[_Union[ImageFormat, str]] = ..., truncation: _Optional[float] = ...) -> None: ...

class GenerateStreamResponse(_message.Message):
    __slots__ = ("pixels", "png", "n", "height", "width", "channels", "offset", "provenance", "seed")
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    pixels: bytes
    png: _containers.RepeatedScalarFieldContainer[bytes]
    n: int
    height: int
    width: int
    channels: int
    offset: int
    provenance: Provenance
    seed: int
    def __init__(self, pixels: _Optional[bytes] = ..., png: _Optional[_Iterable[bytes]] = ..., n: _Optional[int] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., channels: _Optional[int] = ..., offset: _Optional[int] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., seed: _Optional[int] = ...) -> None: ...

class InterpolateRequest(_message.Message):
    __slots__ = ("seed_a", "seed_b", "steps", "model", "version", "label", "format", "truncation", "offset_a", "offset_b")
    SEED_A_FIELD_NUMBER: _ClassVar[int]
    SEED_B_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    TRUNCATION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_A_FIELD_NUMBER: _ClassVar[int]
    OFFSET_B_FIELD_NUMBER: _ClassVar[int]
    seed_a: int
    seed_b: int
    steps: int
    model: str
    version: int
    label: int
    format: ImageFormat
    truncation: float
    offset_a: int
    offset_b: int
    def __init__(self, seed_a: _Optional[int] = ..., seed_b: _Optional[int] = ..., steps: _Optional[int] = ..., model: _Optional[str] = ..., version: _Optional[int] = ..., label: _Optional[int] = ..., format: _Optional[_Union[ImageFormat, str]] = ..., truncation: _Optional[float] = ..., offset_a: _Optional[int] = ..., offset_b: _Optional[int] = ...) -> None: ...

class InterpolateResponse(_message.Message):
    __slots__ = ("pixels", "png", "n", "height", "width", "channels", "offset", "provenance", "seed_a", "seed_b", "offset_a", "offset_b")
    PIXELS_FIELD_NUMBER: _ClassVar[int]
    PNG_FIELD_NUMBER: _ClassVar[int]
    N_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    SEED_A_FIELD_NUMBER: _ClassVar[int]
    SEED_B_FIELD_NUMBER: _ClassVar[int]
    OFFSET_A_FIELD_NUMBER: _ClassVar[int]
    OFFSET_B_FIELD_NUMBER: _ClassVar[int]
    pixels: bytes
    png: _containers.RepeatedScalarFieldContainer[bytes]
    n: int
    height: int
    width: int
    channels: int
    offset: int
    provenance: Provenance
    seed_a: int
    seed_b: int
    offset_a: int
    offset_b: int
    def __init__(self, pixels: _Optional[bytes] = ..., png: _Optional[_Iterable[bytes]] = ..., n: _Optional[int] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., channels: _Optional[int] = ..., offset: _Optional[int] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., seed_a: _Optional[int] = ..., seed_b: _Optional[int] = ..., offset_a: _Optional[int] = ..., offset_b: _Optional[int] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "version", "digest", "description", "license", "height", "width", "channels", "latent_size", "classes", "class_names", "noise_scheme", "precision", "provider", "agreement", "max_images_per_request", "is_default")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    LICENSE_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    LATENT_SIZE_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    CLASS_NAMES_FIELD_NUMBER: _ClassVar[int]
    NOISE_SCHEME_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGES_PER_REQUEST_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    digest: str
    description: str
    license: str
    height: int
    width: int
    channels: int
    latent_size: int
    classes: int
    class_names: _containers.RepeatedScalarFieldContainer[str]
    noise_scheme: str
    precision: str
    provider: str
    agreement: Agreement
    max_images_per_request: int
    is_default: bool
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ..., digest: _Optional[str] = ..., description: _Optional[str] = ..., license: _Optional[str] = ..., height: _Optional[int] = ..., width: _Optional[int] = ..., channels: _Optional[int] = ..., latent_size: _Optional[int] = ..., classes: _Optional[int] = ..., class_names: _Optional[_Iterable[str]] = ..., noise_scheme: _Optional[str] = ..., precision: _Optional[str] = ..., provider: _Optional[str] = ..., agreement: _Optional[_Union[Agreement, str]] = ..., max_images_per_request: _Optional[int] = ..., is_default: _Optional[bool] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("name", "version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    version: int
    def __init__(self, name: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class GetModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...
