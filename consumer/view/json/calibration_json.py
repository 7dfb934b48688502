"""How well past intervals of an end held, as the API shows it. It knows names, no HTTP."""

from __future__ import annotations

from typing import Any

from taskstream.consumer.view.read_model.read_model import ReadModel


def calibration_json(model: ReadModel, project_id: str | None) -> list[dict[str, Any]]:
    """One entry per project and subtask with complete series: of this project, or of all."""
    return [
        {
            "project_id": each.project_id,
            "subtask_name": each.subtask_name,
            "claims": each.claims,
            "held": each.held,
            "held_corrected": each.held_corrected,
            "factor": round(each.factor, 3),
        }
        for each in model.calibration.past(project_id)
    ]
