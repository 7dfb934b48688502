"""Explains in a few words why a series or a task has no ETA: the words of page, API and command line. Pure."""

from __future__ import annotations

from typing import Final

from taskstream.consumer.state.series import EtaReason, Health

ETA_REASON_TEXTS: Final = {
    EtaReason.COMPLETE: "done",
    EtaReason.TOTAL_UNKNOWN: "total unknown",
    EtaReason.CHECKING: "checking",
    EtaReason.TOO_YOUNG: "not measured yet",
    EtaReason.STALLED: "no progress",
    EtaReason.NO_RATE: "no rate",
    EtaReason.NOT_CONVERGING: "not converging",
    EtaReason.TOO_FAR: "over 100 years",
    EtaReason.SILENT: "silent",
    EtaReason.NEXT_SUBTASK: "next subtask",
}


def eta_reason_text(reason: EtaReason) -> str | None:
    """The words; None if the series has an ETA, or its state is of an older worker that wrote no reason."""
    return ETA_REASON_TEXTS.get(reason)


def task_eta_reason(health: Health, progress: int, reason: EtaReason) -> EtaReason:
    """The reason of a task, from its health and its current subtask; `ReadModel.eta_reasons` does it for columns."""
    if health == Health.SILENT:
        return EtaReason.SILENT
    if health == Health.COMPLETE:
        return EtaReason.COMPLETE
    return EtaReason.NEXT_SUBTASK if progress == 100 else reason
