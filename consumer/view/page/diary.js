// What happened to a task, newest first: its signals and the begins of its subtasks, with repetitions folded.

import { HEALTH, known, make, signalTone } from "./draw.js";
import { clock, count, duration, exact, moment, subtaskWords } from "./format.js";

const BACK = { SILENT: "silent and back", NO_PROGRESS: "stalled and moving again", SLOW: "slow and back at its rate" };
export const KINDS = { all: "all", trouble: "trouble", ends: "expected end", stages: "stages" };

// Entries, newest first: { kind, tone, sign, word, text, subtask, fromMs, toMs, parts }.
export function entriesOf(task) {
  const events = [...episodes(task.signals), ...task.subtasks.map(beginOf)].sort((one, other) => one.toMs - other.toMs);
  const folded = [];
  for (const event of events) {
    const last = folded.at(-1);
    if (event.fold && last?.fold === event.fold) last.parts.push(event);
    else folded.push({ ...event, parts: [event] });
  }
  return folded.map((each) => (each.parts.length > 1 ? many(each) : each)).reverse();
}

// Signals as events; a state and its end are one event.
function episodes(signals) {
  const events = [];
  for (const signal of signals) {
    const begun = events.findLast((each) => each.subtask === signal.subtask_name && each.state !== undefined);
    if (signal.signal === "RESUMED" && begun?.state === signal.before && begun.open) {
      begun.open = false;
      begun.toMs = signal.raised_at_ms;
      begun.fold = `${signal.before} ${signal.subtask_name}`;
      begun.word = BACK[signal.before] ?? `${subtaskWords(signal.before)} and back`;
      begun.text = `${begun.text}; ${signal.text}`;
      begun.ended = true;
      continue;
    }
    const isState = Object.hasOwn(BACK, signal.signal);
    events.push({
      kind: signal.signal === "ETA_MOVED" ? "ends" : signal.signal === "COMPLETE" ? "stages" : "trouble",
      state: isState ? signal.signal : undefined,
      open: isState,
      fold: signal.signal === "ETA_MOVED" ? `ETA_MOVED ${signal.subtask_name}` : null,
      tone: signalTone(signal),
      sign: known(HEALTH, HEALTH[signal.signal] ? signal.signal : signal.signal === "RESUMED" ? "OK" : "SLOW").sign,
      word: signal.signal === "ETA_MOVED" ? "end moved" : subtaskWords(signal.signal),
      text: signal.text,
      subtask: signal.subtask_name,
      fromMs: signal.raised_at_ms,
      toMs: signal.raised_at_ms,
      movedMs: signal.eta_ms === null || signal.eta_before_ms === null ? 0 : signal.eta_ms - signal.eta_before_ms,
    });
  }
  return events;
}

function beginOf(series) {
  return {
    kind: "stages", fold: null, tone: "", sign: "▶", word: "began", text: "the first report", subtask: series.subtask_name,
    fromMs: series.first_seen_ms, toMs: series.first_seen_ms,
  };
}

function many(entry) {
  const { parts } = entry;
  const fromMs = Math.min(...parts.map((each) => each.fromMs));
  const toMs = parts.at(-1).toMs;
  if (entry.kind === "ends") {
    const movedMs = parts.reduce((sum, each) => sum + each.movedMs, 0);
    const by = `${duration(Math.abs(movedMs) / 1000)} ${movedMs > 0 ? "later" : "earlier"} in all`;
    return { ...entry, fromMs, toMs, tone: movedMs > 0 ? "SLOW" : "", word: `end moved ${count(parts.length)} times`, text: `the expected end, ${by}` };
  }
  return { ...entry, fromMs, toMs, word: `${entry.word} ${count(parts.length)} times`, text: null };
}

export function diary(task, nowMs, kind, choose) {
  const entries = entriesOf(task);
  const shown = entries.filter((each) => kind === "all" || each.kind === kind);
  const buttons = Object.entries(KINDS).map(([name, word]) => {
    const found = name === "all" ? entries.length : entries.filter((each) => each.kind === name).length;
    const button = make("button", { type: "button", id: `events-${name}`, "aria-pressed": String(kind === name) }, `${word} `, make("span", { class: "faint number" }, count(found)));
    button.addEventListener("click", () => choose(name));
    return button;
  });
  const problem = task.signals_problem === null ? null : make("p", { class: "faint" }, `Some events may be missing: ${task.signals_problem}`);
  const list = shown.length > 0 ? make("ol", {}, ...shown.map((each) => item(each, nowMs))) : make("p", { class: "faint" }, "No such events.");
  return make("section", { class: "signals", "aria-label": "Events" },
    make("div", { class: "chips", role: "group", "aria-label": "Which events" }, ...buttons), list, problem);
}

function item(entry, nowMs) {
  const repeated = entry.parts.length > 1;
  const text = entry.text ?? `between ${moment(entry.fromMs, nowMs)} and ${moment(entry.toMs, nowMs)}`;
  return make("li", { "data-health": entry.tone },
    make("time", { class: "number faint", datetime: new Date(entry.toMs).toISOString(), title: exact(entry.toMs) }, clock(entry.toMs, nowMs)),
    make("span", { class: "what" }, make("span", { class: "sign", "aria-hidden": "true" }, entry.ended ? "↺" : entry.sign), make("strong", {}, entry.word)),
    make("span", { class: "text" }, text, repeated ? make("details", { "data-name": `${entry.fold} ${entry.fromMs}` }, make("summary", {}, "each"),
      make("ul", {}, ...[...entry.parts].reverse().map((each) => make("li", {}, `${clock(each.fromMs, nowMs)}: ${each.text}`)))) : null),
    make("span", { class: "faint subject" }, subtaskWords(entry.subtask)));
}
