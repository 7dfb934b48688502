"""What a simulation sent, told by task: a table or JSON, and the sum of it in words on the error stream."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import click

from taskstream.compose.cli.output.rows import print_rows
from taskstream.producer.fleet import DeliveryCounts, Fleet, FleetRun, SubtaskDeliveryCounts, TaskDeliveryCounts


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """A simulation that has ended."""

    fleet: Fleet
    counts: DeliveryCounts
    run: FleetRun
    seed: int
    tasks: int
    rate: float

    def tell(self, output: str) -> None:
        """Print it; `output` is table or json."""
        in_order = self.counts.in_order(self.fleet.task_id, self.tasks)
        if output == "json":
            told = [self._document(number, task) for number, task in enumerate(in_order)]
            sums = {"seed": self.seed, **asdict(self.counts.sums()), **asdict(self.run), "on_time": self.run.on_time}
            click.echo(json.dumps(sums | {"tasks": told}, indent=2, ensure_ascii=False))
        else:
            print_rows([self._row(number, task) for number, task in enumerate(in_order)], output)
        self._conclude()

    def _document(self, number: int, task: TaskDeliveryCounts) -> dict[str, object]:
        subtasks = [_subtask(name, each) for name, each in task.subtasks.items()]
        return {"task_id": task.task_id, "kind": self.fleet.behaviour(number), "subtasks": subtasks}

    def _row(self, number: int, task: TaskDeliveryCounts) -> dict[str, object]:
        last = task.subtasks[task.current].last if task.current else None
        return {
            "task": task.task_id,
            "kind": self.fleet.behaviour(number),
            "acknowledged": sum(each.acknowledged for each in task.subtasks.values()),
            "not": sum(each.refused + each.unanswered for each in task.subtasks.values()),
            "subtask": task.current or None,
            "progress": None if last is None else f"{last.progress} %",
            "replicatesize": None if last is None else f"{last.replicatesize:,}",
            "totalsize": None if last is None else f"{last.totalsize:,}",
        }

    def _conclude(self) -> None:
        sums, run = self.counts.sums(), self.run
        words = [f"{sums.sent:,} sent in {run.seconds:.1f} s, {sums.acknowledged:,} acknowledged"]
        if sums.refused:
            words.append(f"{sums.refused:,} refused")
        if sums.unanswered:
            words.append(f"{sums.unanswered:,} without an answer, so that they may have been taken")
        if sums.retried:
            words.append(f"{sums.retried:,} tried again")
        click.echo("; ".join(words), err=True)
        if not run.stopped and (sums.skipped or not run.on_time):
            got = sums.acknowledged / run.seconds if run.seconds else 0.0
            click.echo(
                f"{self.rate:g} a second could not be kept up: {sums.skipped:,} were due and not sent, the latest left "
                f"{run.late_s:.1f} s after its moment; {got:,.0f} a second were acknowledged",
                err=True,
            )
        if self.counts.trouble:
            click.echo(f"at last: {self.counts.trouble}", err=True)


def _subtask(name: str, counts: SubtaskDeliveryCounts) -> dict[str, object]:
    return {
        "subtask_name": name,
        "acknowledged": counts.acknowledged,
        "refused": counts.refused,
        "unanswered": counts.unanswered,
        "retried": counts.retried,
        "last": None if counts.last is None else asdict(counts.last),
    }
