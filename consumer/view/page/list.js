// The list: fleet, filters, table, pages. What it shows is in the address; what changes arrives row by row.

import { HEALTH, TREND, isStill, known, make, say, set, spark } from "./draw.js";
import { bytes, count, ends, moment, percent, rate, span } from "./format.js";

const PAGE = 100;
const COLUMNS = [
  ["health", "Health", "health"],
  ["task_id", "Task", "task"],
  ["subtask_name", "Subtask", "subtask"],
  ["progress", "Progress", "progress"],
  [null, "Last 30 min", "minutes"],
  ["-rate_fast_bps", "Rate", "rate"],
  ["trend", "Trend", "trend"],
  ["ends_at_ms", "Ends", "ends"],
];
const FILTERS = ["q", "project", "subtask", "trend", "health"];
const SUBTASKS = [
  "CREATE_CLOUD_SERVER", "SSL_CONFIG", "ATTACH_AGENT_IMAGE", "DETTACH_AGENT_IMAGE", "FORMAT_DISK_LINUX",
  "FORMAT_DISK_LINUX_FILE", "FORMAT_DISK_LINUX_BLOCK", "FORMAT_DISK_WINDOWS", "MIGRATE_LINUX_FILE",
  "MIGRATE_LINUX_BLOCK", "MIGRATE_WINDOWS_BLOCK", "CLONE_VM", "SYNC_LINUX_FILE", "SYNC_LINUX_BLOCK",
  "SYNC_WINDOWS_BLOCK", "CONFIGURE_LINUX", "CONFIGURE_LINUX_BLOCK", "CONFIGURE_LINUX_FILE", "CONFIGURE_WINDOWS",
];
const by = (id) => document.getElementById(id);
const keyOf = (line) => `${line.project_id}/${line.task_id}`;

export class List {
  // `ask` fetches, `go` moves to an address, `changed` is told that another stream is wanted.
  constructor(ask, go, changed) {
    this.ask = ask;
    this.go = go;
    this.changed = changed;
    this.rows = new Map();
    this.pending = new Map();
    this.cursors = [null];
    this.asked = 0;
    this.fleet = new Fleet((health) => this.filter("health", health));
    by("columns").append(...COLUMNS.map((column) => this.heading(column)));
    by("filter-subtask").append(...SUBTASKS.map((name) => make("option", { value: name }, name)));
    by("sort-phone").append(...COLUMNS.filter(([sort]) => sort).map(([sort, words]) => make("option", { value: sort }, words.toLowerCase())));
    by("sort-phone").addEventListener("change", (event) => this.sortBy(event.target.value));
    for (const name of ["q", "project"]) {
      let timer = 0;
      by(`filter-${name}`).addEventListener("input", (event) => {
        clearTimeout(timer);
        timer = setTimeout(() => this.filter(name, event.target.value.trim()), 250);
      });
    }
    for (const name of ["subtask", "trend"]) {
      by(`filter-${name}`).addEventListener("change", (event) => this.filter(name, event.target.value));
    }
    by("clear").addEventListener("click", () => this.go({}));
    by("next").addEventListener("click", () => this.turn(1));
    by("previous").addEventListener("click", () => this.turn(-1));
  }

  // Shows what the address says.
  show(address) {
    this.wanted = {};
    for (const name of FILTERS) if (address.get(name)) this.wanted[name] = address.get(name);
    this.sort = address.get("sort") ?? "health";
    this.cursors = [null];
    for (const name of ["q", "project", "subtask", "trend"]) {
      const field = by(`filter-${name}`);
      if (document.activeElement !== field || !this.wanted[name]) field.value = this.wanted[name] ?? "";
    }
    by("clear").hidden = Object.keys(this.wanted).length === 0;
    this.showSort();
    this.changed(this.wanted);
    return this.refresh();
  }

  filter(name, value) {
    const next = { ...this.wanted };
    if (value && next[name] !== value) next[name] = value;
    else delete next[name];
    this.go(this.sort === "health" ? next : { ...next, sort: this.sort });
  }

  sortBy(sort) {
    const turned = this.sort === sort ? (sort.startsWith("-") ? sort.slice(1) : `-${sort}`) : sort;
    this.go(turned === "health" ? { ...this.wanted } : { ...this.wanted, sort: turned });
  }

  turn(step) {
    if (step > 0 && this.nextCursor) this.cursors.push(this.nextCursor);
    if (step < 0 && this.cursors.length > 1) this.cursors.pop();
    this.refresh().then(() => by("main").scrollIntoView());
  }

  // Fetches the page and the fleet anew, and puts the rows in their order.
  async refresh() {
    const turn = (this.asked += 1);
    const cursor = this.cursors[this.cursors.length - 1];
    const [page, fleet] = await Promise.all([
      this.ask("/tasks", { ...this.wanted, sort: this.sort, limit: PAGE, cursor }),
      this.ask("/fleet", { ...this.wanted, health: null }),
    ]);
    if (turn !== this.asked) return;
    this.nextCursor = page.document.next_cursor;
    this.bucketS = page.document.bucket_s;
    this.skewMs = page.document.now_ms - Date.now();
    this.fleet.show(fleet.document, this.wanted.health);
    this.arrange(page.document.tasks);
    this.showWhere(page.document);
  }

  // A change of one task: drawn with the next frame, the last one of each task alone.
  take(name, line) {
    const key = keyOf(line);
    if (!this.rows.has(key)) return;
    if (this.pending.size === 0) requestAnimationFrame(() => this.draw());
    this.pending.set(key, name === "task" ? line : null);
  }

  draw() {
    const changes = [...this.pending];
    this.pending.clear();
    for (const [key, line] of changes) {
      const row = this.rows.get(key);
      if (!row) continue;
      if (line) row.show(line, this.nowMs(), this.bucketS);
      else row.leave();
    }
  }

  nowMs() {
    return Date.now() + (this.skewMs ?? 0);
  }

  arrange(lines) {
    const body = by("rows");
    const focused = document.activeElement;
    const kept = new Map();
    const coming = new Set(lines.map(keyOf));
    const spare = [...this.rows].filter(([key]) => !coming.has(key)).map(([, row]) => row);
    for (const row of spare) if (row.element.contains(focused)) focused.blur(); // it becomes another task's
    lines.forEach((line, place) => {
      const key = keyOf(line);
      const row = this.rows.get(key) ?? spare.pop() ?? new Row();
      kept.set(key, row);
      row.show(line, this.nowMs(), this.bucketS);
      if (body.children[place] !== row.element) body.insertBefore(row.element, body.children[place] ?? null);
    });
    for (const row of spare) row.element.remove();
    this.rows = kept;
    if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
    by("none").hidden = lines.length > 0;
    const projects = new Set(lines.map((line) => line.project_id));
    by("projects").replaceChildren(...[...projects].sort().map((project) => make("option", { value: project })));
  }

  heading([sort, words, kind]) {
    if (sort === null) return make("th", { scope: "col", role: "columnheader", class: kind }, words);
    const button = make("button", { type: "button", "data-sort": sort }, words);
    button.addEventListener("click", () => this.sortBy(sort));
    return make("th", { scope: "col", role: "columnheader", class: kind }, button);
  }

  showSort() {
    for (const button of by("columns").querySelectorAll("button")) {
      const own = button.dataset.sort;
      const same = this.sort.replace(/^-/, "") === own.replace(/^-/, "");
      const words = this.sort.startsWith("-") ? "descending" : "ascending";
      if (same) set(button.parentElement, "aria-sort", words);
      else button.parentElement.removeAttribute("aria-sort");
    }
    by("sort-phone").value = [...by("sort-phone").options].map((each) => each.value)
      .find((each) => each.replace(/^-/, "") === this.sort.replace(/^-/, "")) ?? "health";
  }

  showWhere(page) {
    const first = (this.cursors.length - 1) * PAGE;
    const last = first + page.tasks.length;
    say(by("where"), page.count === 0 ? "" : `${count(first + 1)} to ${count(last)} of ${count(page.count)}`);
    by("previous").disabled = this.cursors.length === 1;
    by("next").disabled = !this.nextCursor;
  }
}

class Row {
  constructor() {
    this.spark = spark();
    this.sign = make("span", { class: "sign", "aria-hidden": "true" });
    this.health = make("strong");
    this.reason = make("span", { class: "faint reason" });
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
      make("td", { role: "cell", class: "health" }, make("span", { class: "what" }, this.sign, this.health), this.reason),
      make("td", { role: "cell", class: "task" }, this.link, this.project),
      make("td", { role: "cell", class: "subtask" }, this.subtask),
      make("td", { role: "cell", class: "progress" }, make("span", { class: "bar" }, this.bar), make("span", { class: "pair" }, this.percent, this.bytes)),
      make("td", { role: "cell", class: "minutes" }, this.spark.picture),
      make("td", { role: "cell", class: "rate" }, this.fast, this.slow),
      make("td", { role: "cell", class: "trend" }, make("span", { class: "what" }, this.arrow, this.trend), this.change),
      make("td", { role: "cell", class: "ends" }, this.ends, this.between),
    );
  }

  show(line, nowMs, bucketS) {
    const health = known(HEALTH, line.health);
    const trend = known(TREND, line.trend);
    const end = ends(line, nowMs);
    const done = line.health === "COMPLETE";
    const silent = line.health === "SILENT";
    set(this.element, "data-health", line.health);
    set(this.element, "data-trend", isStill(line.health) ? "" : line.trend);
    set(this.element, "data-gone", "");
    say(this.sign, health.sign);
    say(this.health, health.word);
    say(this.reason, line.health_reason);
    say(this.link, line.task_id);
    set(this.link, "href", `/?${new URLSearchParams({ project: line.project_id, task: line.task_id })}`);
    say(this.project, line.project_id);
    say(this.subtask, line.subtask_name.toLowerCase().replaceAll("_", " "));
    const part = line.totalsize > 0 ? Math.min(1, line.replicatesize / line.totalsize) : line.progress / 100;
    this.bar.style.width = `${(100 * part).toFixed(1)}%`;
    say(this.percent, `${line.progress} %`);
    say(this.bytes, line.totalsize > 0 ? `${bytes(line.replicatesize)} of ${bytes(line.totalsize)}` : "no bytes to copy");
    this.spark.update(line.minute_bytes, `bytes in each of the last 30 × ${span(bucketS)}, the last one ${bytes(line.minute_bytes[29])}`);
    const was = silent && line.rate_fast_bps !== null ? "was " : "";
    const still = isStill(line.health);
    say(this.fast, done ? "" : was + rate(line.rate_fast_bps));
    say(this.slow, done || silent || line.rate_slow_bps === null ? "" : `${rate(line.rate_slow_bps)} over ${span(10 * bucketS)}`);
    say(this.arrow, still ? "" : trend.sign);
    say(this.trend, still ? "" : trend.word);
    say(this.change, still || line.trend_change_pct === null ? "" : percent(line.trend_change_pct));
    say(this.ends, end.text);
    say(this.between, end.between);
  }

  leave() {
    set(this.element, "data-gone", "yes");
  }
}

class Fleet {
  constructor(choose) {
    this.counts = {};
    const states = Object.entries(HEALTH).map(([name, { word, sign }]) => {
      const number = make("strong", { class: "number" }, "0");
      const button = make(
        "button", { type: "button", class: "state", "data-health": name, "aria-pressed": "false" },
        make("span", { class: "sign", "aria-hidden": "true" }, sign), number, make("span", {}, word),
      );
      button.addEventListener("click", () => choose(name));
      this.counts[name] = { number, button };
      return button;
    });
    this.rate = this.fact("now");
    this.left = this.fact("left");
    this.end = this.fact("the last one ends");
    this.trends = this.fact("trends");
    by("fleet").append(make("div", { class: "states", role: "group", "aria-label": "Show one health alone" }, ...states),
      make("dl", { class: "facts" }, ...[this.rate, this.left, this.end, this.trends].map((each) => each.element)));
  }

  fact(words) {
    const value = make("dd", { class: "number" }, "–");
    return { value, element: make("div", {}, value, make("dt", {}, words)) };
  }

  show(fleet, health) {
    for (const [name, { number, button }] of Object.entries(this.counts)) {
      say(number, count(fleet.health[name] ?? 0));
      set(button, "aria-pressed", String((health ?? "").split(",").includes(name)));
    }
    const { bytes_done: done, bytes_left: left, ends_at_ms: endMs, now_ms: nowMs } = fleet;
    say(this.rate.value, rate(fleet.rate_bps));
    say(this.left.value, `${bytes(left)} of ${bytes(done + left)}`);
    say(this.end.value, endMs === null ? "not known" : `${moment(endMs, nowMs)}, in ${span((endMs - nowMs) / 1000)}`);
    const arrows = ["ACCELERATING", "STEADY", "SLOWING"].map((name) => `${TREND[name].sign} ${count(fleet.trend[name] ?? 0)}`);
    say(this.trends.value, arrows.join("  "));
  }
}
