// The page of one task: its state, its rate, its subtasks in time order and its signals. All strings go in as text.

import { HEALTH, TREND, bars, condition, isStill, known, make, svg } from "./draw.js";
import { bytes, clock, count, duration, ends, moment, percent, rate, sizes, wholeEnd } from "./format.js";

const by = (id) => document.getElementById(id);

export class TaskPage {
  constructor(fetchJson) {
    this.fetchJson = fetchJson;
    this.requests = 0;
  }

  show(address) {
    this.taskId = address.get("task");
    this.project = address.get("project");
    by("task").replaceChildren(make("p", { class: "faint" }, "…"));
    return this.refresh();
  }

  // Fetches the task again; what the user has opened stays open. Gives the pipeline's state; none if it was too late.
  async refresh() {
    const request = (this.requests += 1);
    const task = await this.fetchJson(`tasks/${encodeURIComponent(this.taskId)}`, { project: this.project });
    if (request !== this.requests) return; // a later one is on its way
    const open = new Set([...by("task").querySelectorAll("details[open]")].map((each) => each.dataset.name));
    const focusedId = by("task").contains(document.activeElement) ? document.activeElement.id : "";
    by("task").replaceChildren(...page(task, task.now_ms));
    for (const each of by("task").querySelectorAll("details")) each.open = open.has(each.dataset.name);
    if (focusedId) by(focusedId)?.focus({ preventScroll: true });
    return task.pipeline;
  }
}

function page(task, nowMs) {
  const health = known(HEALTH, condition(task));
  const current = task.subtasks.find((each) => each.subtask_name === task.subtask_name) ?? task.subtasks.at(-1);
  const end = ends(task, nowMs);
  const size = sizes(task);
  const facts = [
    ["copied", `${size.total > 0 ? `${bytes(size.done)} of ${bytes(size.total)}` : "no bytes to copy"}, ${task.progress}\u00a0%`],
    ["observed", `${task.health === "COMPLETE" ? "" : `${rate(task.rate_fast_bps)} ${task.health === "SILENT" ? "at the last report" : "now"}, ${rate(task.rate_slow_bps)} over ${duration(10 * task.bucket_s)}, `}peak ${rate(current.rate_peak_bps)}`],
    ["reported by the agent", `${rate(task.rate_reported_bps)}`],
    ["trend", isStill(task.health) ? "–" : `${known(TREND, task.trend).sign} ${known(TREND, task.trend).word}${task.trend_change_pct === null ? "" : `, ${percent(task.trend_change_pct)}`}`],
    ["ends", `${end.text}${end.between ? `, 80 % between ${end.between}` : ""}`],
    ["the task ends", wholeEnd(task, nowMs)],
    ["expected by the agent", task.remain_time_s === null ? "–" : `${duration(task.remain_time_s)} left`],
    ["last report", `${duration((nowMs - task.last_seen_ms) / 1000)} ago`],
    ["last byte", `${duration((nowMs - task.last_advance_ms) / 1000)} ago`],
  ];
  return [
    make("p", {}, make("a", { href: "./", id: "back" }, "← all tasks")),
    make("h1", {}, make("bdi", {}, task.task_id)),
    make("p", { class: "faint" }, make("bdi", {}, task.project_id), ` · ${task.state}`),
    make("p", { class: "verdict", "data-health": condition(task) },
      make("span", { class: "sign", "aria-hidden": "true" }, health.sign), make("strong", {}, health.word),
      make("span", {}, `${task.health_reason}; since ${moment(task.health_since_ms, nowMs)}`)),
    make("dl", { class: "facts wide" }, ...facts.map(([label, value]) => make("div", {}, make("dt", {}, label), make("dd", { class: "number" }, value)))),
    chart(current, task.bucket_s, nowMs),
    make("h2", {}, "Subtasks"),
    make("ol", { class: "subtasks" }, ...task.subtasks.map((each) => subtask(each, nowMs))),
    make("h2", {}, "Signals"),
    signals(task, nowMs),
  ];
}

// The signals of the task, in time order.
function signals(task, nowMs) {
  const problem = task.signals_problem === null ? null : make("p", { class: "faint" }, `Some signals may be missing: ${task.signals_problem}`);
  if (task.signals.length === 0) return make("div", { class: "signals" }, make("p", { class: "faint" }, "No signals."), problem);
  const items = task.signals.map((each) => make("li", { "data-health": each.after },
    make("time", { class: "number faint", datetime: new Date(each.raised_at_ms).toISOString() }, clock(each.raised_at_ms, nowMs)),
    make("span", { class: "what" }, make("span", { class: "sign", "aria-hidden": "true" }, known(HEALTH, each.after).sign),
      make("strong", {}, each.signal.toLowerCase().replaceAll("_", " "))),
    make("span", { class: "text" }, each.text),
    make("span", { class: "faint subject" }, each.subtask_name)));
  return make("div", { class: "signals" }, make("ol", {}, ...items), problem);
}

function chart(series, bucketS, nowMs) {
  const rates = series.minute_bytes.map((each) => each / bucketS);
  const highest = Math.max(...rates);
  const caption = make("figcaption", { class: "faint" }, `bytes per second in each of the last 30 × ${duration(bucketS)}; maximum ${rate(highest)}; dashed: mean over ${duration(10 * bucketS)}`);
  const slow = series.rate_slow_bps !== null && highest > 0 ? 120 - Math.min(1, series.rate_slow_bps / highest) * 120 : null;
  const picture = svg("svg", { viewBox: "0 0 600 120", preserveAspectRatio: "none", role: "img", "aria-label": caption.textContent },
    svg("path", { d: bars(rates, 600, 120) }),
    slow === null ? null : svg("line", { x1: 0, x2: 600, y1: slow, y2: slow }));
  const begin = series.open_minute_ms - 30 * bucketS * 1000;
  const axis = make("p", { class: "axis faint" }, make("span", {}, moment(begin, nowMs)), make("span", {}, moment(series.open_minute_ms, nowMs)));
  return make("figure", { class: "chart" }, picture, axis, caption);
}

function subtask(series, nowMs) {
  const health = known(HEALTH, condition(series));
  const done = series.health === "COMPLETE";
  const took = ((done ? series.health_since_ms : series.last_seen_ms) - series.first_seen_ms) / 1000;
  const counts = ["reports", "stale", "resets", "regressions", "skewed"].filter((name) => name === "reports" || series[name] > 0);
  const usage = [["cpu", "total_cpu_usage", "agent_cpu_usage", "%"], ["memory", "total_mem_usage", "agent_mem_usage", "MB"],
    ["disk", "total_disk_io", "agent_disk_io", "Mbit/s"]].filter(([, total]) => series[total] !== null);
  return make("li", { "data-health": condition(series) },
    make("p", { class: "what" }, make("span", { class: "sign", "aria-hidden": "true" }, health.sign),
      make("strong", {}, series.subtask_name), make("span", { class: "faint" }, `${health.word}: ${series.health_reason}`)),
    make("p", { class: "number" }, `${series.progress} %`, series.totalsize > 0 ? `, ${bytes(series.replicatesize)} of ${bytes(series.totalsize)}` : "",
      `; ${moment(series.first_seen_ms, nowMs)}, ${done ? "took" : "for"} ${duration(took)}`),
    make("pre", { class: "trace" }, series.process_trace),
    make("details", { "data-name": series.subtask_name }, make("summary", {}, "Counts and usage"),
      make("p", {}, counts.map((name) => `${count(series[name])} ${name}`).join(", "),
        series.typical_gap_s === null ? "" : `; one report every ${series.typical_gap_s.toFixed(1)} s`),
      ...usage.map(([label, total, own, unit]) => make("p", {}, `${label}: ${series[total]} ${unit}, the agent ${series[own] ?? "–"}`)),
      series.agent_time ? make("p", {}, "clock of the agent: ", make("bdi", {}, series.agent_time)) : null));
}
