"""Everything that is to be measured on a GPU, in one run of at most 20 minutes.

    python scripts/gpu_campaign.py --out results [--minutes 20] [--train dcgan64=cifar10.zip]
        [--stages promise,serving] [--dry-run]

The stages run in order of their value: versions, gpu-tests, promise, serving, export, training,
trainings. Each writes its result at once into `campaign.json` and `campaign.md` of the output
folder, and its output into a log there; a stage that fails or runs out of time does not stop the
others. Further calls with the same folder add to its results. `--dry-run` runs all stages small on
the CPU, which shows that the script works.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from campaign import stages
from campaign.results import Outcome, read_outcomes, write_results
from campaign.run import Campaign, Stage
from campaign.trainings import trainings

STAGES = (
    Stage(stages.versions, 60),
    Stage(stages.gpu_tests, 150),
    Stage(stages.promise, 270),
    Stage(stages.serving, 270),
    Stage(stages.export, 120),
    Stage(stages.training, 240),
    Stage(trainings, 1200),
)
DRY_BUDGET_S = 600.0  # of each stage: a dry run is short, but may run on a busy machine
NAMES = tuple(stage.name for stage in STAGES)


def run_stages(campaign: Campaign, wanted: Sequence[Stage]) -> list[Outcome]:
    """Runs stages, and writes what is known after each."""
    outcomes = read_outcomes(campaign.out)

    for stage in wanted:
        outcome = Outcome(stage.name)
        outcomes = [each for each in outcomes if each.stage != stage.name] + [outcome]
        began = time.monotonic()
        try:
            budget_s = DRY_BUDGET_S if campaign.dry_run else stage.budget_s
            stage.run(campaign.until(budget_s), outcome.result)
        except Exception as error:  # noqa: BLE001 - one stage must not take the others with it
            outcome.error = f"{type(error).__name__}: {error}"
        outcome.seconds = round(time.monotonic() - began, 1)

        outcomes.sort(key=lambda each: NAMES.index(each.stage))
        write_results(campaign, outcomes)
        said = (outcome.error or outcome.result.get("summary", "done")).splitlines()[0]
        print(f"{stage.name}: {said} ({outcome.seconds:.0f} s)", flush=True)
    return outcomes


def main() -> None:
    """Runs the campaign; exit code 1 if a stage failed."""
    arguments = parse_arguments()
    wanted = [stage for stage in STAGES if stage.name in arguments.stages]
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)

    with tempfile.TemporaryDirectory(prefix="campaign-") as work:
        campaign = Campaign(
            out=out,
            work=Path(work),
            trainings=tuple(arguments.train or [("digits", "digits")]),
            deadline=time.monotonic() + 60 * arguments.minutes,
            dry_run=arguments.dry_run,
        )
        outcomes = run_stages(campaign, wanted)
    if any(outcome.error for outcome in outcomes if outcome.stage in arguments.stages):
        sys.exit(1)


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    out = os.environ.get("OUT")
    parser.add_argument(
        "--out",
        type=Path,
        default=out,
        required=out is None,
        help="folder of the results; $OUT by default",
    )
    parser.add_argument("--minutes", type=float, default=20.0, help="bound on the whole campaign")
    parser.add_argument(
        "--train",
        action="append",
        type=read_training,
        metavar="RECIPE=DATA",
        help="a model to train in the time that is left, repeatable; by default digits",
    )
    parser.add_argument(
        "--stages",
        type=read_stages,
        default=NAMES,
        metavar="NAME,...",
        help="stages to run; all by default",
    )
    parser.add_argument("--dry-run", action="store_true", help="run small, on the CPU")
    return parser.parse_args()


def read_training(text: str) -> tuple[str, str]:
    """Reads RECIPE=DATA."""
    recipe, _, data = text.partition("=")
    if not recipe or not data:
        raise argparse.ArgumentTypeError(f"{text!r} is not RECIPE=DATA")
    return recipe, str(Path(data).resolve()) if Path(data).exists() else data


def read_stages(text: str) -> tuple[str, ...]:
    """Reads a list of stages."""
    names = tuple(text.split(","))
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        known = ", ".join(NAMES)
        raise argparse.ArgumentTypeError(f"there is no stage {unknown[0]!r}; choose from {known}")
    return names


if __name__ == "__main__":
    main()
