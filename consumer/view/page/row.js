// The columns of the list, and the row of one task. All strings go in as text.

import { HEALTH, TREND, condition, isStill, known, make, setAttribute, setText, spark } from "./draw.js";
import { bytes, duration, ends, moment, percent, rate, sizes, subtaskWords } from "./format.js";
import { noteText } from "./note.js";

// By name, which is also the class of its cells: the sort of its heading, and the heading.
export const COLUMNS = {
  health: { sort: "health", label: "Health" },
  task: { sort: "task_id", label: "Task" },
  subtask: { sort: "subtask_name", label: "Subtask" },
  progress: { sort: "progress", label: "Progress" },
  minutes: { sort: null, label: "Last 30 min" },
  rate: { sort: "-rate_fast_bps", label: "Rate" },
  trend: { sort: "trend", label: "Trend" },
  ends: { sort: "ends_at_ms", label: "Ends" },
};

export class Row {
  constructor() {
    this.spark = spark();
    this.sign = make("span", { class: "sign", "aria-hidden": "true" });
    this.health = make("strong");
    this.reason = make("span", { class: "faint reason" });
    this.note = make("span", { class: "note" });
    this.news = make("span", { class: "news" });
    this.link = make("a", { class: "id" });
    this.project = make("bdi", { class: "faint" });
    this.subtask = make("span");
    this.bar = make("span", { class: "fill" });
    this.percent = make("span", { class: "number" });
    this.bytes = make("span", { class: "faint number" });
    this.fast = make("span", { class: "number" });
    this.slow = make("span", { class: "faint number" });
    this.arrow = make("span", { class: "arrow", "aria-hidden": "true" });
    this.trend = make("span");
    this.change = make("span", { class: "faint number" });
    this.ends = make("span", { class: "number" });
    this.between = make("span", { class: "faint number" });
    this.element = make(
      "tr", { role: "row" },
      make("td", { role: "cell", class: "health" }, make("span", { class: "what" }, this.sign, this.health), this.reason, this.note, this.news),
      make("td", { role: "cell", class: "task" }, this.link, this.project),
      make("td", { role: "cell", class: "subtask" }, this.subtask),
      make("td", { role: "cell", class: "progress" }, make("span", { class: "bar" }, this.bar), make("span", { class: "pair" }, this.percent, this.bytes)),
      make("td", { role: "cell", class: "minutes" }, this.spark.picture),
      make("td", { role: "cell", class: "rate" }, this.fast, this.slow),
      make("td", { role: "cell", class: "trend" }, make("span", { class: "what" }, this.arrow, this.trend), this.change),
      make("td", { role: "cell", class: "ends" }, this.ends, this.between),
    );
  }

  // Shows this task. A health that began after `lookedMs` is marked as news; null marks none. Returns whether it is.
  show(task, nowMs, bucketS, lookedMs) {
    const health = known(HEALTH, condition(task));
    const trend = known(TREND, task.trend);
    const end = ends(task, nowMs);
    const done = task.health === "COMPLETE";
    const silent = task.health === "SILENT";
    setAttribute(this.element, "data-health", condition(task));
    setAttribute(this.element, "data-trend", isStill(task.health) ? "" : task.trend);
    setAttribute(this.element, "data-gone", "");
    setText(this.sign, health.sign);
    setText(this.health, health.word);
    setText(this.reason, task.health_reason);
    setText(this.note, task.note === null ? "" : noteText(task.note, nowMs));
    const isNews = lookedMs !== null && task.health_since_ms > lookedMs;
    setText(this.news, isNews ? `new at ${moment(task.health_since_ms, nowMs)}` : "");
    setText(this.link, task.task_id);
    setAttribute(this.link, "href", `./?${new URLSearchParams({ project: task.project_id, task: task.task_id })}`);
    setText(this.project, task.project_id);
    setText(this.subtask, subtaskWords(task.subtask_name));
    const size = sizes(task);
    const part = size.total > 0 && !done ? Math.min(1, size.done / size.total) : task.progress / 100;
    this.bar.style.width = `${(100 * part).toFixed(1)}%`;
    setText(this.percent, `${task.progress} %`);
    setText(this.bytes, size.total > 0 ? `${bytes(size.done)} of ${bytes(size.total)}` : "no bytes to copy");
    this.spark.update(task.minute_bytes, `bytes in each of the last 30 × ${duration(bucketS)}, the last one ${bytes(task.minute_bytes[29])}`);
    const was = silent && task.rate_fast_bps !== null ? "was " : "";
    const still = isStill(task.health);
    setText(this.fast, done ? "" : was + rate(task.rate_fast_bps));
    setText(this.slow, done || silent || task.rate_slow_bps === null ? "" : `${rate(task.rate_slow_bps)} over ${duration(10 * bucketS)}`);
    setText(this.arrow, still ? "" : trend.sign);
    setText(this.trend, still ? "" : trend.word);
    setText(this.change, still || task.trend_change_pct === null ? "" : percent(task.trend_change_pct));
    setText(this.ends, end.text);
    setText(this.between, end.between);
    return isNews;
  }

  markGone() {
    setAttribute(this.element, "data-gone", "yes");
  }
}
