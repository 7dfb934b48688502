// The stages of a migration as steps: done, running, to come, each with its time. All strings go in as text.

import { condition, make } from "./draw.js";
import { bytes, duration, ends, moment, subtaskWords } from "./format.js";

export function stages(task, nowMs) {
  const current = task.subtasks.find((each) => each.subtask_name === task.subtask_name) ?? task.subtasks.at(-1);
  const reported = task.subtasks.map((each) => reportedStage(each, each === current && task.health !== "COMPLETE", task, nowMs));
  const known = new Set(task.subtasks.map((each) => each.subtask_name));
  const ahead = task.stages_ahead.filter((each) => !known.has(each.subtask_name)).map((each) => stage(
    "ahead", "○", each.subtask_name, each.lasts_s === null ? "to come" : `to come, about ${duration(each.lasts_s)}`, ""));
  const basis = task.stages_ahead_basis !== null ? `Steps to come: as in ${task.stages_ahead_basis}.`
    : task.health === "COMPLETE" ? null : "Steps to come: unknown until ten tasks have ended.";
  return make("section", { class: "stages", "aria-label": "Stages of the migration" },
    make("ol", {}, ...reported, ...ahead), basis === null ? null : make("p", { class: "faint" }, basis));
}

function reportedStage(series, isCurrent, task, nowMs) {
  if (isCurrent && series.progress < 100) {
    const end = ends(task, nowMs);
    const left = task.ends_at_ms === null ? `end unknown: ${end.text}` : `ends ${end.text}`;
    return stage("running", "▶", series.subtask_name, `${series.progress} %, for ${duration((nowMs - series.first_seen_ms) / 1000)}`, left, condition(task));
  }
  if (series.progress === 100) {
    const copied = series.totalsize > 0 ? `, ${bytes(series.replicatesize)}` : "";
    return stage("done", "✓", series.subtask_name, `took ${duration((series.last_advance_ms - series.first_seen_ms) / 1000)}${copied}`, `until ${moment(series.last_advance_ms, nowMs)}`);
  }
  return stage("left", "–", series.subtask_name, `left at ${series.progress} %`, `last report ${moment(series.last_seen_ms, nowMs)}`);
}

function stage(state, sign, name, time, more, health = null) {
  return make("li", { "data-stage": state, "data-health": health, "aria-current": state === "running" ? "step" : null },
    make("span", { class: "mark", "aria-hidden": "true" }, sign), make("strong", {}, subtaskWords(name)),
    make("span", { class: "number" }, time), make("span", { class: "faint number" }, more));
}
