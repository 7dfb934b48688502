// The report of a fleet: what is done, what ends by a time and how surely, what is slowest, what stands still, what stopped
// together. It prints on paper. All strings go in as text.

import { HEALTH, known, make } from "./draw.js";
import { bytes, count, duration, moment, nextTimeOfDay, rate, subtaskWords } from "./format.js";
import { noteText } from "./note.js";
import { drawWhenReleased, isSelecting } from "./press.js";

const DEFAULT_BY = "06:00";
const TIME_OF_DAY = /^([01]?\d|2[0-3]):[0-5]\d$/;
const STATES = ["SILENT", "NO_PROGRESS", "SLOW", "OK", "COMPLETE"];
const by = (id) => document.getElementById(id);

export class ReportPage {
  // fetchJson(path, parameters) fetches; navigate(parameters) changes the URL.
  constructor(fetchJson, navigate) {
    this.fetchJson = fetchJson;
    this.requests = 0;
    by("report-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const project = by("report-project").value.trim();
      navigate({ page: "report", ...(project ? { project } : {}), by: by("report-by").value.trim() || DEFAULT_BY });
    });
    by("report-print").addEventListener("click", () => print());
  }

  show(address) {
    this.project = address.get("project");
    this.by = address.get("by") || DEFAULT_BY;
    if (by("report").querySelector("h1") === null) by("report").prepend(make("h1", {}, "Migration report"));
    by("report-project").value = this.project ?? "";
    by("report-by").value = this.by;
    by("report-body").replaceChildren(make("p", { class: "faint" }, "…"));
    return this.refresh();
  }

  // Fetches the report again. Gives the pipeline's state; none if it was too late. A time of day is one of the zone shown.
  async refresh() {
    const request = (this.requests += 1);
    const asked = TIME_OF_DAY.test(this.by) ? new Date(nextTimeOfDay(this.by, Date.now())).toISOString() : this.by;
    const report = await this.fetchJson("report", { project: this.project, by: asked });
    if (request !== this.requests) return; // a later one is on its way
    if (!isSelecting(by("report-body"))) drawWhenReleased(by("report-body"), () => { if (request === this.requests) draw(report); });
    return report.pipeline;
  }
}

function draw(report) {
  const body = by("report-body");
  const link = body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  body.replaceChildren(...sections(report));
  if (link !== null) [...body.querySelectorAll("a")].find((each) => each.getAttribute("href") === link)?.focus({ preventScroll: true });
}

function sections(report) {
  const { total, now_ms: nowMs, by_ms: byMs } = report;
  return [
    make("p", { class: "faint" }, `as of ${moment(nowMs, 0)}`),
    facts(total, byMs, nowMs),
    titled("Projects", projects(report)),
    total.stages.length > 0 ? titled("Stages", stageList(total)) : null,
    report.slowest.length > 0 ? titled("The slowest: those that end last", slowest(report)) : null,
    report.standing_count > 0 ? titled(`Standing still: ${count(report.standing_count)}`, standing(report)) : null,
    together(report),
    make("p", { class: "faint small" }, "The expected number is the sum of the tasks' probabilities, from the 80 % intervals of "
      + "their ends. Its own 80 % interval holds if tasks are independent: tasks that share a bottleneck are late together. "
      + "Tasks without an end count as not ended."),
  ].filter((each) => each !== null);
}

function facts(total, byMs, nowMs) {
  const ended = total.ended_by;
  const more = [];
  if (ended.unknown > 0) more.push(`${count(ended.unknown)} without an end`);
  if (ended.of_subtask > 0) more.push(`for ${count(ended.of_subtask)} the end of the stage only`);
  const done = total.done_pct === null ? "no bytes to copy" : `${total.done_pct} %`;
  return make("dl", { class: "facts report-facts" },
    fact("done", done, `${bytes(total.bytes_done)} of ${bytes(total.bytes_total)}, ${rate(total.rate_bps)} now`),
    fact(`ended by ${moment(byMs, nowMs)}`, `${range(ended)} of ${count(total.tasks)}`,
      [`${ended.expected.toFixed(1)} expected`, ...more].join(", ")),
    fact("complete", count(ended.complete), `${count(total.tasks - ended.complete)} are not`));
}

function fact(label, value, more) {
  return make("div", {}, make("dt", {}, label), make("dd", { class: "number" }, value), make("dd", { class: "faint number more" }, more));
}

function titled(title, ...content) {
  return make("section", {}, make("h2", {}, title), ...content);
}

// A table whose rows are cards on a phone: each cell has its column's name.
function table(columns, rows) {
  const body = rows.map((row) => make("tr", {}, ...row.map((cell, place) => make("td", { "data-label": columns[place] }, cell))));
  return make("table", { class: "report-table" },
    make("thead", {}, make("tr", {}, ...columns.map((each) => make("th", { scope: "col" }, each)))), make("tbody", {}, ...body));
}

function projects(report) {
  const rows = report.projects.map((each) => [
    make("a", { href: `./?${new URLSearchParams({ page: "report", project: each.project_id, by: by("report-by").value })}` }, make("bdi", {}, each.project_id)),
    done(each),
    make("span", { class: "number" }, rate(each.rate_bps)),
    states(each),
    make("span", { class: "number" }, `${range(each.ended_by)} of ${count(each.tasks)}`, faint(`${each.ended_by.expected.toFixed(1)} expected`)),
    make("span", { class: "number" }, count(each.ended_by.unknown)),
  ]);
  const more = report.project_count - report.projects.length;
  return make("div", {}, table(["project", "done", "rate", "tasks", "ended by then", "without an end"], rows),
    more > 0 ? make("p", { class: "faint" }, `and ${count(more)} more projects`) : null);
}

function done(each) {
  const fill = make("span", { class: "fill" });
  fill.style.width = `${each.done_pct ?? 0}%`;
  return make("span", {}, make("span", { class: "bar", "aria-hidden": "true" }, fill),
    make("span", { class: "number" }, each.done_pct === null ? "no bytes" : `${each.done_pct} %`),
    faint(`${bytes(each.bytes_done)} of ${bytes(each.bytes_total)}`));
}

// The tasks by health; a state that no task has is left out.
function states(each) {
  const found = STATES.filter((name) => each.health[name] > 0).map((name) => make("span", { class: "state-count", "data-health": name },
    make("span", { class: "sign", "aria-hidden": "true" }, HEALTH[name].sign), ` ${count(each.health[name])} ${HEALTH[name].word}`));
  return make("span", { class: "state-counts number" }, ...found);
}

function stageList(total) {
  const most = Math.max(...total.stages.map((each) => each.tasks));
  return make("ul", { class: "report-stages" }, ...total.stages.map((each) => {
    const fill = make("span", { class: "fill" });
    fill.style.width = `${(100 * each.tasks) / most}%`;
    return make("li", {}, make("span", {}, subtaskWords(each.subtask_name)), make("span", { class: "bar", "aria-hidden": "true" }, fill),
      make("span", { class: "number" }, count(each.tasks)));
  }));
}

function slowest(report) {
  const nowMs = report.now_ms;
  const rows = report.slowest.map((each) => [
    taskLink(each),
    make("span", {}, subtaskWords(each.subtask_name), faint(`${each.progress} %, ${bytes(each.bytes_left)} left`)),
    make("span", { class: "number" }, rate(each.rate_fast_bps)),
    make("span", { class: "number" }, `in ${duration((each.ends_at_ms - nowMs) / 1000)}`, each.is_whole ? null : faint("end of the stage")),
    make("span", { class: "number" }, `${time(each.ends_from_ms, nowMs)} – ${time(each.ends_to_ms, nowMs)}`),
    make("span", { class: "number" }, each.chance === null ? "–" : `${Math.round(100 * each.chance)} %`),
  ]);
  return table(["task", "stage", "rate", "ends", "80 % between", "by then"], rows);
}

function standing(report) {
  const rows = report.standing.map((each) => {
    const health = known(HEALTH, each.health);
    return [
      taskLink(each),
      make("span", { "data-health": each.health }, make("span", { class: "sign", "aria-hidden": "true" }, health.sign), ` ${health.word}`),
      make("span", { class: "number" }, moment(each.health_since_ms, report.now_ms), faint(`for ${duration((report.now_ms - each.health_since_ms) / 1000)}`)),
      make("span", {}, subtaskWords(each.subtask_name), faint(`${each.progress} %`)),
      make("span", {}, each.health_reason, each.note === null ? null : make("span", { class: "note report-note" }, noteText(each.note, report.now_ms))),
    ];
  });
  const more = report.standing_count - report.standing.length;
  return make("div", {}, table(["task", "health", "since", "stage", "why"], rows), more > 0 ? make("p", { class: "faint" }, `and ${count(more)} more`) : null);
}

// What stopped, and what slowed down, within the same minutes: such tasks may share a bottleneck.
function together(report) {
  const stops = report.stopped_together.map((each) => make("li", {},
    make("strong", {}, `${count(each.tasks)} tasks stopped together`),
    `, ${moment(each.begin_ms, report.now_ms)} – ${moment(each.end_ms, report.now_ms)}`,
    faint([`${each.expected} are usual in five minutes`, `${count(each.silent)} silent`, ...shares(each)].join(" · "))));
  const slowdowns = report.slowdowns.map((each) => make("li", {},
    make("strong", {}, `${count(each.fell)} of ${count(each.moving)} tasks slowed down together`), `, ${moment(each.begin_ms, report.now_ms)}`,
    faint([each.name === null ? "in the whole fleet" : `all in ${each.kind === "subtask" ? subtaskWords(each.name) : each.name}`, `${count(each.still_slow)} still slow`].join(" · "))));
  if (stops.length + slowdowns.length === 0) return null;
  return titled("May share a bottleneck", make("ul", { class: "slowdowns" }, ...stops, ...slowdowns));
}

function shares(stop) {
  return [...stop.projects.map((each) => `${each.project_id} ${count(each.tasks)}`), ...stop.subtasks.map((each) => `${subtaskWords(each.subtask_name)} ${count(each.tasks)}`),
    ...stop.labels.map((each) => `${each.label} ${each.value} ${count(each.tasks)}`)];
}

function taskLink(task) {
  return make("span", {}, make("a", { href: `./?${new URLSearchParams({ project: task.project_id, task: task.task_id })}` }, task.task_id),
    make("bdi", { class: "faint block" }, task.project_id));
}

function range(ended) {
  return ended.low === ended.high ? count(ended.low) : `${count(ended.low)} – ${count(ended.high)}`;
}

function time(ms, nowMs) {
  return ms === null ? "unknown" : moment(ms, nowMs);
}

function faint(text) {
  return make("span", { class: "faint block" }, text);
}
