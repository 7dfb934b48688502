"""What a simulation sent: a table or JSON per task, and the totals on standard error."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from taskstream.compose.cli.output.formats import print_rows
from taskstream.compose.cli.output.terminal import echo, echo_json
from taskstream.producer.fleet import DeliveryCounts, Fleet, FleetRun, SubtaskDeliveryCounts, TaskDeliveryCounts


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """The result of a simulation."""

    fleet: Fleet
    counts: DeliveryCounts
    run: FleetRun
    seed: int
    tasks: int
    rate: float

    def print(self, output: str) -> None:
        """Print the result; `output` is table or json."""
        in_order = self.counts.by_task(self.fleet.task_id, self.tasks)
        if output == "json":
            tasks = [self._document(number, task) for number, task in enumerate(in_order)]
            sums = {"seed": self.seed, **asdict(self.counts.sums()), **asdict(self.run), "on_time": self.run.on_time}
            echo_json(sums | {"tasks": tasks}, indent=2)
        else:
            print_rows([self._row(number, task) for number, task in enumerate(in_order)], output)
        self._print_totals()

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

    def _print_totals(self) -> None:
        sums, run = self.counts.sums(), self.run
        words = [f"{sums.sent:,} sent in {run.seconds:.1f} s, {sums.acknowledged:,} acknowledged"]
        if sums.refused:
            words.append(f"{sums.refused:,} refused")
        if sums.unanswered:
            words.append(f"{sums.unanswered:,} without a response, which may have been accepted")
        if sums.retried:
            words.append(f"{sums.retried:,} retried")
        echo("; ".join(words), err=True)
        if not run.stopped and (sums.skipped or not run.on_time):
            achieved = sums.acknowledged / run.seconds if run.seconds else 0.0
            echo(
                f"the rate of {self.rate:g} per second was not achieved: {sums.skipped:,} were skipped, the latest "
                f"was sent {run.late_s:.1f} s after its time; {achieved:,.0f} per second were acknowledged",
                err=True,
            )
        if self.counts.last_error:
            echo(f"last failure: {self.counts.last_error}", err=True)


def _subtask(name: str, counts: SubtaskDeliveryCounts) -> dict[str, object]:
    return {
        "subtask_name": name,
        "acknowledged": counts.acknowledged,
        "refused": counts.refused,
        "unanswered": counts.unanswered,
        "retried": counts.retried,
        "last": None if counts.last is None else asdict(counts.last),
    }
