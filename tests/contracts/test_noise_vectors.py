"""The test vectors at the head of generator.proto, checked in four ways of computing them."""

from __future__ import annotations

import json
import math
import re
import shutil
import struct
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from dcgan.core.noise import latents

PROTO = (files("dcgan.v1") / "generator.proto").read_text()
LATENT_SIZE = 100
BLOCKS = 25
SHOWN = (0, 1, 2, 99)  # the elements of z that the head lists

MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
WEYL = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
MASK = 2**64 - 1


class Vector(NamedTuple):
    seed: int
    index: int
    word: str
    bits: list[str]


def read_vectors() -> list[Vector]:
    pattern = r"^//   (\d+) +(\d+) +([0-9a-f]{16})((?: [0-9a-f]{8}){4})$"
    found = re.findall(pattern, PROTO, re.MULTILINE)
    return [Vector(int(seed), int(index), word, bits.split()) for seed, index, word, bits in found]


VECTORS = read_vectors()
each_vector = pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v.seed}-{v.index}")


def float32_bits(value: float) -> str:
    return struct.pack(">f", value).hex()


def assert_close(actual: list[str], expected: list[str]) -> None:
    """At most the last bit of a float32 differs, as where a library rounds a cosine differently."""
    for ours, theirs in zip(actual, expected, strict=True):
        assert abs(int(ours, 16) - int(theirs, 16)) <= 1, (actual, expected)


def test_the_head_has_vectors_for_seeds_in_both_halves_and_far_indices():
    places = {(vector.seed, vector.index) for vector in VECTORS}
    seeds = (0, 7, 2**63 + 1, 2**64 - 1)
    assert places == {(seed, index) for seed in seeds for index in (0, 10**6)}


@each_vector
def test_this_project_draws_the_vectors(vector: Vector):
    z = latents(vector.seed, vector.index, 1, LATENT_SIZE)[0]
    assert_close([float32_bits(z[i]) for i in SHOWN], vector.bits)


@each_vector
def test_numpy_draws_the_vectors_by_the_words_of_the_head(vector: Vector):
    lines = re.search(r"In NumPy:\n//  +(key = .*)\n//  +(w = .*)\n", PROTO)
    assert lines is not None
    names = {"numpy": np, "seed": vector.seed, "i": vector.index, "B": BLOCKS}
    exec("\n".join(lines.groups()), names)

    words = names["w"]
    assert f"{int(words[0]):016x}" == vector.word
    u = (words >> np.uint64(11)) * 2.0**-53
    radius = np.sqrt(-2 * np.log(1 - u[0::2]))
    angle = 2 * np.pi * u[1::2]
    z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).ravel()
    assert_close([float32_bits(z[i]) for i in SHOWN], vector.bits)


def philox_block(counter: int, seed: int) -> list[int]:
    words = [(counter >> (64 * i)) & MASK for i in range(4)]
    key = [seed, 0]

    for _ in range(10):
        first = MULTIPLIERS[0] * words[0]
        second = MULTIPLIERS[1] * words[2]
        words = [
            (second >> 64) ^ words[1] ^ key[0],
            second & MASK,
            (first >> 64) ^ words[3] ^ key[1],
            first & MASK,
        ]
        key = [(word + step) & MASK for word, step in zip(key, WEYL, strict=True)]
    return words


@each_vector
def test_plain_integers_draw_the_vectors(vector: Vector):
    counters = range(vector.index * BLOCKS + 1, (vector.index + 1) * BLOCKS + 1)
    words = [word for counter in counters for word in philox_block(counter, vector.seed)]
    assert f"{words[0]:016x}" == vector.word

    u = [(word >> 11) * 2.0**-53 for word in words]
    z: list[float] = []
    for u1, u2 in zip(u[0::2], u[1::2], strict=True):
        radius = math.sqrt(-2 * math.log(1 - u1))
        angle = 2 * math.pi * u2
        z += [radius * math.cos(angle), radius * math.sin(angle)]
    assert_close([float32_bits(z[i]) for i in SHOWN], vector.bits)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node_draws_the_vectors():
    program = Path(__file__).with_name("philox.js")
    places = [[str(vector.seed), str(vector.index), str(LATENT_SIZE)] for vector in VECTORS]
    command = ["node", str(program), json.dumps(places)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    for vector, (word, bits) in zip(VECTORS, json.loads(done.stdout), strict=True):
        assert word == vector.word
        assert_close([bits[i] for i in SHOWN], vector.bits)


def test_no_document_keys_philox_with_a_plain_list():
    root = Path(__file__).resolve().parents[2]
    documents = [
        path
        for pattern in ("*.md", "docs/**/*.md", "protos/**/*.proto", "export/**/*.py", "core/*.py")
        for path in root.glob(pattern)
    ]
    assert documents
    for path in documents:
        assert not re.search(r"Philox\((key=)?\[", path.read_text()), path
