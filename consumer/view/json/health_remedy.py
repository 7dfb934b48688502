"""What somebody can do about the health of a task, in a sentence. Pure."""

from __future__ import annotations

from taskstream.consumer.state.series import EtaReason, Health


def health_remedy(health: Health, reason: EtaReason, progress: int) -> str | None:
    """The first things to check, without the last full stop; None: nothing is wrong.

    reason: of a withheld end. progress: of the current subtask, percent.
    """
    if health == Health.SILENT and progress == 100:
        return "check whether the next subtask was started, and whether the agent runs"
    if health == Health.SILENT:
        return "check that the agent runs on the source and reaches the edge; its log has the last error"
    if health == Health.NO_PROGRESS and reason == EtaReason.CHECKING:
        return "all bytes are there: check what the last line of the agent's trace waits for"
    if health == Health.NO_PROGRESS:
        return "the agent runs: check the disk of the source, the target volume and the network between them"
    if health == Health.SLOW:
        return "compare with tasks that share the network, the source host or the target; check the agent's limits"
    if reason == EtaReason.NOT_CONVERGING:
        return "the source changes as fast as it is copied: reduce writes on the source, or raise the bandwidth"
    return None
