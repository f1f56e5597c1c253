"""Device, precision and backends."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from dcgan.training.device import describe_hardware, resolve_precision, resolve_switches
from dcgan.training.recipe_files import load_recipe
from dcgan.training.switches import StepSwitches


@pytest.mark.parametrize(
    ("units", "width", "precision"), [(True, 64, "bf16"), (False, 64, "fp32"), (True, 16, "fp32")]
)
def test_bf16_is_chosen_only_where_a_gpu_has_units_for_it(monkeypatch, units, width, precision):
    def has_units(including_emulation: bool = True) -> bool:
        return units or including_emulation  # torch would emulate it on any GPU, slowly

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", has_units)
    recipe = load_recipe("dcgan64", [f"discriminator.width={width}"])
    assert resolve_precision("auto", "cuda", recipe) == precision
    assert resolve_precision("auto", "cuda", replace(recipe, precision="fp32")) == "fp32"
    assert resolve_precision("bf16", "cuda", recipe) == "bf16"


ON_A_GPU = {
    "dcgan64": StepSwitches(weight_copies=True, one_pass=True, padded_channels=True),
    "dcgan64-seed": StepSwitches(padded_channels=True),
    "dcgan64-r3": StepSwitches(one_pass=True, padded_channels=True, linear_penalties=True),
}


@pytest.mark.parametrize("name", ON_A_GPU)
def test_switches_are_on_on_a_gpu_where_the_recipe_can_use_them(name):
    recipe = load_recipe(name)
    in_bf16 = replace(ON_A_GPU[name], weight_copies=True)
    assert resolve_switches(recipe, "cuda", "fp32", steps=29_999) == ON_A_GPU[name]
    assert resolve_switches(recipe, "cuda", "bf16", steps=29_999) == in_bf16
    assert resolve_switches(recipe, "cuda", "bf16", steps=29_999, processes=2) == StepSwitches()


def test_long_runs_on_a_gpu_are_compiled():
    recipe = load_recipe("dcgan64")
    assert resolve_switches(recipe, "cuda", "bf16", steps=30_000).compile
    assert not resolve_switches(recipe, "cuda", "bf16", steps=30_000, processes=2).compile
    assert not resolve_switches(recipe, "cpu", "bf16", steps=30_000).compile
    fixed = resolve_switches(recipe, "cuda", "bf16", steps=30_000, deterministic=True)
    assert not fixed.compile
    switched_off = load_recipe("dcgan64", ["engine.compile=off"])
    assert not resolve_switches(switched_off, "cuda", "bf16", steps=30_000).compile


@pytest.mark.parametrize("name", ON_A_GPU)
def test_on_a_cpu_only_the_second_derivative_is_avoided(name):
    found = resolve_switches(load_recipe(name), "cpu", "bf16", steps=30_000)
    assert found == StepSwitches(linear_penalties=name == "dcgan64-r3")


def test_a_recipe_says_which_switches_it_wants():
    changes = ["engine.compile=on", "engine.one_pass=off", "engine.weight_copies=on"]
    recipe = load_recipe("dcgan64", changes)
    found = resolve_switches(recipe, "cuda", "fp32", steps=1)
    assert found == StepSwitches(compile=True, weight_copies=True, padded_channels=True)
    on_a_cpu = resolve_switches(recipe, "cpu", "fp32", steps=1)
    assert on_a_cpu == StepSwitches(compile=True, weight_copies=True)


@pytest.mark.parametrize(("threads", "words"), [(1, "1 thread"), (4, "4 threads")])
def test_the_hardware_is_named_with_its_threads(monkeypatch, threads, words):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert describe_hardware("cpu").endswith(f", {words}")
    assert describe_hardware("cpu", 2).endswith(f", 2 processes of {words}")


@pytest.mark.slow
def test_float32_is_float32_on_a_gpu_too():
    program = (
        "import torch\n"
        "from dcgan.training.device import configure_backends\n"
        "cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul\n"
        "assert cudnn.conv.fp32_precision == 'tf32'\n"  # PyTorch's default
        "configure_backends(deterministic=False)\n"
        "assert {kind.fp32_precision for kind in (cudnn.conv, cudnn.rnn, matmul)} == {'ieee'}\n"
        # These raise where the two interfaces disagree, as torch.export would find out.
        "assert not cudnn.allow_tf32\n"
        "assert not matmul.allow_tf32\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
