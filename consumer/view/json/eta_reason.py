"""Explains in a few words why a series or a task has no ETA: the words of page, API and command line. Pure."""

from __future__ import annotations

from typing import Final

from taskstream.consumer.state.series import EtaReason

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
