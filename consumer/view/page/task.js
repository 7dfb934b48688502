// The page of one task: what is wrong, since when, why and what to do; its stages, its rate, its events, its subtasks.
// All strings go in as text.

import { chart, forgetCursor, minutePoints, stretches } from "./chart.js";
import { HEALTH, TREND, condition, isStill, known, make, svg } from "./draw.js";
import { diary } from "./diary.js";
import { bytes, count, duration, ends, exact, moment, percent, rate, sizes, subtaskWords, wholeEnd } from "./format.js";
import { noteForm, noteLine } from "./note.js";
import { drawWhenReleased, isSelecting } from "./press.js";
import { stages } from "./stages.js";

const RANGES = {
  minutes: { word: "30 minutes" },
  day: { word: "24 hours", asked: { from: "24h", step: "10m" } },
  week: { word: "7 days", asked: { from: "7d", step: "1h" } },
};
const by = (id) => document.getElementById(id);

export class TaskPage {
  // fetchJson(path, parameters) fetches; sendJson(method, path, parameters, body) changes.
  constructor(fetchJson, sendJson) {
    this.fetchJson = fetchJson;
    this.sendJson = sendJson;
    this.requests = 0;
    this.events = "all";
    this.task = null;
    this.width = 0;
    new ResizeObserver(() => { if (by("task").clientWidth !== this.width && !isSelecting(by("task"))) this.redraw(); }).observe(by("task"));
  }

  show(address) {
    this.taskId = address.get("task");
    this.project = address.get("project");
    this.task = null;
    this.noteProblem = "";
    this.range = RANGES[address.get("range")] ? address.get("range") : "minutes";
    this.past = null;
    forgetCursor();
    by("task").replaceChildren(make("p", { class: "faint" }, "…"));
    if (this.range !== "minutes") this.fetchPast();
    return this.refresh();
  }

  // Fetches the task again. Gives the pipeline's state; none if it was too late.
  async refresh() {
    const request = (this.requests += 1);
    try {
      const task = await this.fetchJson(`tasks/${encodeURIComponent(this.taskId)}`, { project: this.project });
      if (request !== this.requests) return; // a later one is on its way
      this.task = task;
    } catch (error) {
      if (error.status === 404 && request === this.requests) this.showUnknown(error.message);
      throw error;
    }
    if (!isSelecting(by("task"))) this.redrawWhenReleased();
    if (this.past?.again) this.fetchPast();
    return this.task.pipeline;
  }

  // Fetches the rates of a day or a week, once: they are read from Kafka for this. If they cannot be read now, each refresh
  // asks again.
  async fetchPast() {
    const range = this.range;
    const taskId = this.taskId;
    if (this.past !== null) this.past.again = false; // while this request is on its way
    let past;
    try {
      past = await this.fetchJson(`tasks/${encodeURIComponent(taskId)}/rates`, { project: this.project, ...RANGES[range].asked });
    } catch (error) {
      const isRefused = error.status >= 400 && error.status < 500;
      past = { problem: isRefused ? error.message : `${error.message}; asking again`, again: !isRefused };
    }
    if (range !== this.range || taskId !== this.taskId) return; // another one is shown by now
    this.past = past;
    this.redrawWhenReleased();
  }

  // Makes or withdraws the note of the task. What refuses it is kept, because every answer draws the form anew.
  async note(method, body) {
    try {
      await this.sendJson(method, `tasks/${encodeURIComponent(this.taskId)}/note`, { project: this.project }, body);
    } catch (error) {
      this.noteProblem = error.message;
      this.redraw();
      return;
    }
    this.noteProblem = "";
    for (const each of by("task").querySelectorAll("details.noting")) each.open = false;
    for (const each of by("task").querySelectorAll("details.noting input")) each.value = "";
    await this.refresh();
  }

  showUnknown(message) {
    this.task = null;
    by("task").replaceChildren(backLink(), make("h1", {}, make("bdi", {}, this.taskId)), make("p", { class: "verdict", "data-health": "COMPLETE" },
      make("span", { class: "sign", "aria-hidden": "true" }, "?"), make("strong", {}, "unknown task"), make("span", {}, message)),
    make("p", { class: "faint" }, "Check the id and the project. A task appears with its first report, and leaves some days after its last."));
  }

  redrawWhenReleased() {
    drawWhenReleased(by("task"), () => this.redraw());
  }

  // Draws the task as last fetched; what the user has opened stays open.
  redraw() {
    if (this.task === null) return;
    const open = new Set([...by("task").querySelectorAll("details[open]")].map((each) => each.dataset.name));
    const typed = new Map([...by("task").querySelectorAll("input, select")].map((each) => [each.id, each.value]));
    const focusedId = by("task").contains(document.activeElement) ? document.activeElement.id : "";
    const width = by("task").clientWidth;
    if (width === 0) return;
    this.width = width;
    by("task").replaceChildren(...this.parts(this.task, this.task.now_ms, width));
    for (const each of by("task").querySelectorAll("details")) each.open = open.has(each.dataset.name);
    for (const [id, value] of typed) if (by(id)) by(id).value = value;
    if (focusedId) by(focusedId)?.focus({ preventScroll: true });
  }

  // Links to the last minutes, a day and a week.
  ranges(task) {
    const links = Object.entries(RANGES).map(([name, { word }]) => {
      const query = new URLSearchParams({ project: task.project_id, task: task.task_id, ...(name === "minutes" ? {} : { range: name }) });
      return make("a", { href: `./?${query}`, id: `range-${name}`, "aria-current": name === this.range ? "true" : null }, word);
    });
    return make("nav", { class: "chips", "aria-label": "Time of the chart" }, ...links);
  }

  parts(task, nowMs, width) {
    const current = task.subtasks.find((each) => each.subtask_name === task.subtask_name) ?? task.subtasks.at(-1);
    return [
      backLink(),
      make("h1", {}, make("bdi", {}, task.task_id)),
      make("p", { class: "faint" }, make("bdi", {}, task.project_id), ` · ${subtaskWords(task.state)}`),
      verdict(task, nowMs),
      noteForm(task, nowMs, this.noteProblem, (method, body) => this.note(method, body)),
      stages(task, nowMs),
      facts(task, current, nowMs),
      about(task),
      make("h2", {}, `Rate of ${subtaskWords(current.subtask_name)}`),
      this.ranges(task),
      ...(this.range === "minutes" ? [chart(lastMinutes(task, current, nowMs), width)] : pastChart(this.past, width)),
      make("h2", {}, "Events"),
      diary(task, nowMs, this.events, (kind) => { this.events = kind; this.redraw(); }),
      make("h2", {}, "Subtasks"),
      subtasks(task, nowMs),
    ];
  }
}

function backLink() {
  return make("p", {}, make("a", { href: "./", id: "back" }, "← all tasks"));
}

// What is wrong, since when, why, what to do.
function verdict(task, nowMs) {
  const health = known(HEALTH, condition(task));
  const since = `since ${moment(task.health_since_ms, nowMs)} (${duration((nowMs - task.health_since_ms) / 1000)})`;
  return make("div", { class: "verdict", "data-health": condition(task) },
    make("p", {}, make("span", { class: "sign", "aria-hidden": "true" }, health.sign), make("strong", {}, health.word),
      make("span", { class: "number", title: exact(task.health_since_ms) }, since)),
    make("p", {}, sentence(task.health_reason)),
    task.note === null ? null : noteLine(task.note, nowMs),
    task.remedy === null ? null : make("p", {}, make("b", {}, "To do: "), sentence(task.remedy)));
}

function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

function facts(task, current, nowMs) {
  const end = ends(task, nowMs);
  const size = sizes(task);
  const now = task.health === "COMPLETE" ? "" : `${rate(task.rate_fast_bps)} ${task.health === "SILENT" ? "at the last report" : "now"}, ${rate(task.rate_slow_bps)} over ${duration(10 * task.bucket_s)}, `;
  const grows = current.growth_bps > 0 ? `, the total grows by ${rate(current.growth_bps)}` : "";
  const found = [
    ["copied", `${size.total > 0 ? `${bytes(size.done)} of ${bytes(size.total)}` : "no bytes to copy"}, ${task.progress}\u00a0%${grows}`, `${size.done} of ${size.total} B`],
    ["observed", `${now}peak ${rate(current.rate_peak_bps)}`, `${task.rate_fast_bps} B/s, ${task.rate_slow_bps} B/s, ${current.rate_peak_bps} B/s`],
    ["reported by the agent", rate(task.rate_reported_bps), `${task.rate_reported_bps} B/s`],
    ["trend", isStill(task.health) ? "–" : `${known(TREND, task.trend).sign} ${known(TREND, task.trend).word}${task.trend_change_pct === null ? "" : `, ${percent(task.trend_change_pct)}`}`, null],
    ["ends", `${end.text}${end.between ? `, 80 % between ${end.between}` : ""}`, task.ends_at_ms === null ? null : exact(task.ends_at_ms)],
    ["the task ends", wholeEnd(task, nowMs), task.task_ends_at_ms === null ? null : exact(task.task_ends_at_ms)],
    ["expected by the agent", task.remain_time_s === null ? "–" : `${duration(task.remain_time_s)} left`, task.remain_time_s === null ? null : `${task.remain_time_s} s`],
    ["last report", `${duration((nowMs - task.last_seen_ms) / 1000)} ago`, exact(task.last_seen_ms)],
    ["last byte", `${duration((nowMs - task.last_advance_ms) / 1000)} ago`, exact(task.last_advance_ms)],
  ];
  return make("dl", { class: "facts wide" }, ...found.map(([label, value, raw]) => make("div", {}, make("dt", {}, label), make("dd", { class: "number", title: raw }, value, raw === null ? null : copyButton(label, raw)))));
}

// The labels of the task, and links to other systems; nothing if there are none.
function about(task) {
  const labels = Object.entries(task.labels).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, make("bdi", {}, value), copyButton(name, value))));
  const links = Object.entries(task.links).map(([name, href]) => make("a", { href, target: "_blank", rel: "noopener noreferrer" }, name));
  return labels.length + links.length === 0 ? "" : make("section", { "aria-label": "Labels and links" },
    labels.length === 0 ? "" : make("dl", { class: "facts wide", id: "labels" }, ...labels),
    links.length === 0 ? "" : make("p", { class: "chips", id: "links" }, ...links));
}

// Copies the exact value. Without a clipboard (a page without TLS), the value is shown to be copied by hand.
function copyButton(label, raw) {
  const button = make("button", { type: "button", class: "copy", id: `copy-${label.replaceAll(" ", "-")}`, "aria-label": `copy ${label}: ${raw}` },
    svg("svg", { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" }, svg("path", { d: "M4 4V1h7v7H8M1 4h7v7H1z", fill: "none", stroke: "currentColor" })));
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(raw);
      button.textContent = "✓";
    } catch {
      const text = make("span", { class: "raw" }, ` ${raw}`);
      button.replaceWith(text);
      getSelection().selectAllChildren(text);
    }
  });
  return button;
}

function lastMinutes(task, current, nowMs) {
  const points = minutePoints(current, task.bucket_s);
  const isOpen = task.health !== "COMPLETE";
  const fromMs = nowMs - 30 * task.bucket_s * 1000;
  return {
    points: points.filter((each) => each.toMs > fromMs),
    stretches: stretches(points, current, isOpen, nowMs, task.bucket_s * 1000),
    fromMs,
    nowMs,
    reportedBps: isOpen ? task.rate_reported_bps : null,
    reportedAtMs: current.last_seen_ms,
    barText: `observed, per ${duration(task.bucket_s)}`,
    label: `observed rate of the last ${duration(30 * task.bucket_s)}, until now; highest ${rate(Math.max(0, ...points.map((each) => each.bytes)) / task.bucket_s)}`,
  };
}

// The chart of a day or a week, or why there is none.
function pastChart(past, width) {
  if (past === null) return [make("p", { class: "faint", role: "status" }, "reading the past …")];
  if (past.problem !== undefined) return [make("p", { class: "bad" }, past.problem)];
  const points = past.points.map((each) => ({ fromMs: each.from_ms, toMs: Math.min(each.to_ms, past.now_ms), bytes: each.bytes, done: each.replicatesize, total: each.totalsize }));
  const highest = rate(Math.max(0, ...past.points.map((each) => each.rate_bps ?? 0)));
  const shown = {
    points, stretches: points.filter((each) => each.bytes === 0).map((each) => ({ ...each, kind: "stall" })), fromMs: past.from_ms, nowMs: past.now_ms,
    reportedBps: null, reportedAtMs: 0, barText: `observed, per ${duration(past.step_s)}`,
    label: `observed rate of all subtasks since ${moment(past.from_ms, past.now_ms)}; highest ${highest}`,
  };
  return [chart(shown, width), past.is_whole ? "" : make("p", { class: "faint" }, `Only the newest ${count(past.records_read)} records were read: the oldest part is missing.`)];
}

function subtasks(task, nowMs) {
  const heads = ["Subtask", "State", "Began", "Time", "Copied", "Peak", "Reports"];
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Subtasks" }, make("table", { class: "subtasks" },
    make("thead", {}, make("tr", {}, ...heads.map((each) => make("th", { scope: "col" }, each)))),
    ...task.subtasks.map((each) => subtask(each, each.subtask_name === task.subtask_name ? task : each, nowMs))));
}

function subtask(series, judged, nowMs) {
  const health = known(HEALTH, condition(judged));
  const done = series.progress === 100;
  const lastedMs = (done ? series.last_advance_ms : series.last_seen_ms) - series.first_seen_ms;
  const counts = ["stale", "resets", "regressions", "skewed"].filter((name) => series[name] > 0);
  const usage = [["cpu", "total_cpu_usage", "agent_cpu_usage", "%"], ["memory", "total_mem_usage", "agent_mem_usage", "MB"],
    ["disk", "total_disk_io", "agent_disk_io", "Mbit/s"]].filter(([, total]) => series[total] !== null);
  const details = [
    series.typical_gap_s === null ? null : `one report every ${series.typical_gap_s.toFixed(1)} s`,
    ...counts.map((name) => `${count(series[name])} ${name}`),
    ...usage.map(([label, total, own, unit]) => `${label} ${series[total]} ${unit}, the agent ${series[own] ?? "–"}`),
    series.agent_time ? `clock of the agent ${series.agent_time}` : null,
  ].filter((each) => each !== null);
  const trace = series.process_trace === "" ? null : make("pre", { class: "trace" }, series.process_trace);
  return make("tbody", { "data-health": condition(judged) },
    make("tr", {},
      make("th", { scope: "row" }, make("strong", {}, series.subtask_name)),
      make("td", {}, make("span", { class: "sign", "aria-hidden": "true" }, health.sign), ` ${done && health.word === "moving" ? "done" : health.word}, ${series.progress} %`),
      make("td", { class: "number", title: exact(series.first_seen_ms) }, moment(series.first_seen_ms, nowMs)),
      make("td", { class: "number" }, `${done ? "" : "for "}${duration(lastedMs / 1000)}`),
      make("td", { class: "number" }, series.totalsize > 0 ? `${bytes(series.replicatesize)} of ${bytes(series.totalsize)}` : "–"),
      make("td", { class: "number" }, rate(series.rate_peak_bps)),
      make("td", { class: "number" }, count(series.reports))),
    trace === null && details.length === 0 ? "" : make("tr", { class: "more" }, make("td", { colspan: "7" }, trace, details.length === 0 ? null
      : make("details", { "data-name": series.subtask_name }, make("summary", {}, "Counts and usage"), make("p", {}, make("bdi", {}, details.join("; ")))))));
}
