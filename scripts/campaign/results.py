"""The results of a campaign: campaign.json, and campaign.md for people."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from campaign.run import Campaign, Result
from dcgan.core.atomic import write_file
from dcgan.core.hardware import describe_host
from dcgan.core.versions import project_commit

NAME = "campaign.json"


@dataclass
class Outcome:
    """What became of one stage.

    Attributes:
        stage: its name.
        seconds: time that it took.
        result: what it found, as far as it came.
        error: why it failed; None if it did not.
    """

    stage: str
    seconds: float = 0.0
    result: Result = field(default_factory=dict)
    error: str | None = None


def read_outcomes(folder: Path) -> list[Outcome]:
    """Reads the outcomes of earlier calls with the same folder; none if there were none."""
    path = folder / NAME
    if not path.exists():
        return []
    return [Outcome(**stage) for stage in json.loads(path.read_text(encoding="utf-8"))["stages"]]


def write_results(campaign: Campaign, outcomes: Sequence[Outcome]) -> None:
    """Writes campaign.json and campaign.md, each whole or not at all."""
    document = {
        "hardware": campaign.card,
        "host": describe_host(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": project_commit() or "unknown",
        "dry_run": campaign.dry_run,
        "stages": [vars(outcome) for outcome in outcomes],
    }
    write_file(campaign.out / NAME, (json.dumps(document, indent=2) + "\n").encode())

    lines = [
        f"{document['hardware']}, {document['date']}, commit {document['commit']}",
        "",
        "| stage | seconds | outcome |",
        "| --- | ---: | --- |",
    ]
    for outcome in outcomes:
        lines.append(f"| {outcome.stage} | {outcome.seconds} | {_cell(_outcome(outcome))} |")
    for outcome in outcomes:
        rows = list(_flatten(outcome.result))
        if rows:
            lines += ["", f"## {outcome.stage}", "", "| measure | value |", "| --- | ---: |"]
            lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows]
        if outcome.error:
            lines += ["", "```text", outcome.error, "```"]
    write_file(campaign.out / "campaign.md", ("\n".join(lines) + "\n").encode())


def _outcome(outcome: Outcome) -> str:
    summary = str(outcome.result.get("summary", "done"))
    if outcome.error is None:
        return summary
    failure = f"FAILED: {outcome.error.splitlines()[0]}"
    return f"{failure} ({summary})" if "summary" in outcome.result else failure


def _flatten(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    """Yields the numbers and texts of a result, with the path of each."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flatten(inner, f"{name}, {key}" if name else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield name, inner
    else:
        yield name, value


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
