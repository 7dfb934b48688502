// The list: fleet, filters, table, pages. The URL holds what it shows; the stream changes single rows.

import { HEALTH, TREND, condition, isStill, known, make, setAttribute, setText, spark } from "./draw.js";
import { noteText } from "./note.js";
import { bytes, count, duration, ends, moment, percent, rate, sizes } from "./format.js";

const PAGE_SIZE = 100;
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
const FILTERS = ["q", "project", "subtask", "trend", "health", "eta_reason"];
const SUBTASKS = [
  "CREATE_CLOUD_SERVER", "SSL_CONFIG", "ATTACH_AGENT_IMAGE", "DETTACH_AGENT_IMAGE", "FORMAT_DISK_LINUX",
  "FORMAT_DISK_LINUX_FILE", "FORMAT_DISK_LINUX_BLOCK", "FORMAT_DISK_WINDOWS", "MIGRATE_LINUX_FILE",
  "MIGRATE_LINUX_BLOCK", "MIGRATE_WINDOWS_BLOCK", "CLONE_VM", "SYNC_LINUX_FILE", "SYNC_LINUX_BLOCK",
  "SYNC_WINDOWS_BLOCK", "CONFIGURE_LINUX", "CONFIGURE_LINUX_BLOCK", "CONFIGURE_LINUX_FILE", "CONFIGURE_WINDOWS",
];
const by = (id) => document.getElementById(id);
const keyOf = (task) => `${task.project_id}/${task.task_id}`;

export class List {
  // fetchJson(path, parameters) fetches; navigate(parameters) changes the URL; follow(filters) opens the stream.
  constructor(fetchJson, navigate, follow) {
    this.fetchJson = fetchJson;
    this.navigate = navigate;
    this.follow = follow;
    this.rows = new Map();
    this.pending = new Map();
    this.cursors = [null];
    this.requests = 0;
    this.slowdowns = new Slowdowns();
    this.fleet = new Fleet((name) => this.filterCondition(name));
    by("columns").append(...COLUMNS.map((column) => this.heading(column)));
    by("filter-subtask").append(...SUBTASKS.map((name) => make("option", { value: name }, name)));
    by("sort-phone").append(...COLUMNS.filter(([sort]) => sort).map(([sort, label]) => make("option", { value: sort }, label.toLowerCase())));
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
    by("clear").addEventListener("click", () => this.navigate({}));
    by("next").addEventListener("click", () => this.turnPage(1));
    by("previous").addEventListener("click", () => this.turnPage(-1));
  }

  // Shows what the URL says.
  show(address) {
    this.filters = {};
    for (const name of FILTERS) if (address.get(name)) this.filters[name] = address.get(name);
    this.sort = address.get("sort") ?? "health";
    this.cursors = [null];
    for (const name of ["q", "project", "subtask", "trend"]) {
      const field = by(`filter-${name}`);
      if (document.activeElement !== field || !this.filters[name]) field.value = this.filters[name] ?? "";
    }
    by("clear").hidden = Object.keys(this.filters).length === 0;
    this.showSort();
    this.follow(this.filters);
    return this.refresh();
  }

  // Sets a filter, or removes it if it has this value already. It replaces the filter `replaced`.
  filter(name, value, replaced = null) {
    const next = { ...this.filters };
    delete next[replaced];
    if (value && next[name] !== value) next[name] = value;
    else delete next[name];
    this.navigate(this.sort === "health" ? next : { ...next, sort: this.sort });
  }

  // A button of the fleet: a health, or a reason of a withheld end.
  filterCondition(name) {
    if (name === "NOT_CONVERGING") this.filter("eta_reason", name, "health");
    else this.filter("health", name, "eta_reason");
  }

  sortBy(sort) {
    const next = this.sort === sort ? (sort.startsWith("-") ? sort.slice(1) : `-${sort}`) : sort;
    this.navigate(next === "health" ? { ...this.filters } : { ...this.filters, sort: next });
  }

  turnPage(step) {
    if (step > 0 && this.nextCursor) this.cursors.push(this.nextCursor);
    if (step < 0 && this.cursors.length > 1) this.cursors.pop();
    this.refresh().then(() => by("main").scrollIntoView());
  }

  // Fetches the page and the fleet again, and sorts the rows. Gives the pipeline's state; none if it was too late.
  async refresh() {
    const request = (this.requests += 1);
    const cursor = this.cursors[this.cursors.length - 1];
    const [page, fleet] = await Promise.all([
      this.fetchJson("tasks", { ...this.filters, sort: this.sort, limit: PAGE_SIZE, cursor }),
      this.fetchJson("fleet", { ...this.filters, health: null, eta_reason: null }),
    ]);
    if (request !== this.requests) return; // a later one is on its way
    this.nextCursor = page.next_cursor;
    this.bucketS = page.bucket_s;
    this.skewMs = page.now_ms - Date.now();
    this.slowdowns.show(fleet.slowdowns, fleet.now_ms);
    this.fleet.show(fleet, this.filters.health ?? this.filters.eta_reason);
    this.arrange(page.tasks);
    this.showRange(page);
    return page.pipeline;
  }

  // Applies an event of one task. Changes are drawn with the next frame, only the last one of each task.
  applyEvent(name, task) {
    const key = keyOf(task);
    if (!this.rows.has(key)) return;
    if (this.pending.size === 0) requestAnimationFrame(() => this.draw());
    this.pending.set(key, name === "task" ? task : null);
  }

  draw() {
    const changes = [...this.pending];
    this.pending.clear();
    for (const [key, task] of changes) {
      const row = this.rows.get(key);
      if (!row) continue;
      if (task) row.show(task, this.nowMs(), this.bucketS);
      else row.markGone();
    }
  }

  nowMs() {
    return Date.now() + (this.skewMs ?? 0);
  }

  // Shows these tasks in this order. A row keeps its element, and a row that is no longer shown lends it to a new task.
  arrange(tasks) {
    const body = by("rows");
    const focused = document.activeElement;
    const kept = new Map();
    const shown = new Set(tasks.map(keyOf));
    const spare = [...this.rows].filter(([key]) => !shown.has(key)).map(([, row]) => row);
    for (const row of spare) if (row.element.contains(focused)) focused.blur(); // its element will show another task
    tasks.forEach((task, index) => {
      const key = keyOf(task);
      const row = this.rows.get(key) ?? spare.pop() ?? new Row();
      kept.set(key, row);
      row.show(task, this.nowMs(), this.bucketS);
      if (body.children[index] !== row.element) body.insertBefore(row.element, body.children[index] ?? null);
    });
    for (const row of spare) row.element.remove();
    this.rows = kept;
    if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
    by("none").hidden = tasks.length > 0;
    const projects = new Set(tasks.map((task) => task.project_id));
    by("projects").replaceChildren(...[...projects].sort().map((project) => make("option", { value: project })));
  }

  heading([sort, label, kind]) {
    if (sort === null) return make("th", { scope: "col", role: "columnheader", class: kind }, label);
    const button = make("button", { type: "button", "data-sort": sort }, label);
    button.addEventListener("click", () => this.sortBy(sort));
    return make("th", { scope: "col", role: "columnheader", class: kind }, button);
  }

  showSort() {
    for (const button of by("columns").querySelectorAll("button")) {
      const own = button.dataset.sort;
      const same = this.sort.replace(/^-/, "") === own.replace(/^-/, "");
      const direction = this.sort.startsWith("-") ? "descending" : "ascending";
      if (same) setAttribute(button.parentElement, "aria-sort", direction);
      else button.parentElement.removeAttribute("aria-sort");
    }
    by("sort-phone").value = [...by("sort-phone").options].map((each) => each.value)
      .find((each) => each.replace(/^-/, "") === this.sort.replace(/^-/, "")) ?? "health";
  }

  showRange(page) {
    const first = (this.cursors.length - 1) * PAGE_SIZE;
    const last = first + page.tasks.length;
    setText(by("where"), page.count === 0 ? "" : `${count(first + 1)} to ${count(last)} of ${count(page.count)}`);
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
    this.note = make("span", { class: "note" });
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
      make("td", { role: "cell", class: "health" }, make("span", { class: "what" }, this.sign, this.health), this.reason, this.note),
      make("td", { role: "cell", class: "task" }, this.link, this.project),
      make("td", { role: "cell", class: "subtask" }, this.subtask),
      make("td", { role: "cell", class: "progress" }, make("span", { class: "bar" }, this.bar), make("span", { class: "pair" }, this.percent, this.bytes)),
      make("td", { role: "cell", class: "minutes" }, this.spark.picture),
      make("td", { role: "cell", class: "rate" }, this.fast, this.slow),
      make("td", { role: "cell", class: "trend" }, make("span", { class: "what" }, this.arrow, this.trend), this.change),
      make("td", { role: "cell", class: "ends" }, this.ends, this.between),
    );
  }

  show(task, nowMs, bucketS) {
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
    setText(this.link, task.task_id);
    setAttribute(this.link, "href", `./?${new URLSearchParams({ project: task.project_id, task: task.task_id })}`);
    setText(this.project, task.project_id);
    setText(this.subtask, task.subtask_name.toLowerCase().replaceAll("_", " "));
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
  }

  markGone() {
    setAttribute(this.element, "data-gone", "yes");
  }
}

// Tasks that slowed down together in the last hour: what they share, and the numbers.
class Slowdowns {
  constructor() {
    this.list = by("slowdowns");
    this.shown = "";
  }

  show(found, nowMs) {
    this.list.hidden = found.length === 0;
    const now = JSON.stringify(found);
    if (now === this.shown) return; // a screen reader would read the same again
    this.shown = now;
    this.list.replaceChildren(...found.map((each) => this.item(each, nowMs)));
  }

  item(each, nowMs) {
    const tasks = `${count(each.fell)} of ${count(each.moving)} tasks slowed down together`;
    const minutes = `within ${duration((each.end_ms - each.begin_ms) / 1000)} of ${moment(each.begin_ms, nowMs)}`;
    const chance = each.expected < 0.1 ? "under 0.1" : each.expected.toFixed(1);
    const shares = (each.kind === "project" ? each.subtasks : each.projects).slice(0, 4).map((share) => {
      const name = share.project_id ?? share.subtask_name.toLowerCase().replaceAll("_", " ");
      return `${name} ${share.fell === 0 ? "none" : count(share.fell)} of ${count(share.moving)}`;
    });
    const still = each.still_slow > 0 ? [`${count(each.still_slow)} still slow`] : [];
    return make(
      "li", {}, make("strong", {}, tasks), make("span", {}, `, ${minutes}, `), this.shared(each),
      make("span", { class: "faint" }, [`${chance} by chance`, ...still, ...shares].join(" · ")),
    );
  }

  // What they share, as a link to its tasks.
  shared(each) {
    if (each.kind === "fleet") return make("span", {}, "in all projects and subtasks");
    const name = each.kind === "project" ? each.name : each.name.toLowerCase().replaceAll("_", " ");
    const address = `./?${new URLSearchParams({ [each.kind]: each.name })}`;
    return make("span", {}, each.kind === "project" ? "in project " : "all in ", make("a", { href: address }, make("bdi", {}, name)));
  }
}

class Fleet {
  constructor(select) {
    this.counts = {};
    const states = Object.entries(HEALTH).map(([name, { word, sign }]) => {
      const number = make("strong", { class: "number" }, "0");
      const button = make(
        "button", { type: "button", class: "state", "data-health": name, "aria-pressed": "false" },
        make("span", { class: "sign", "aria-hidden": "true" }, sign), number, make("span", {}, word),
      );
      button.addEventListener("click", () => select(name));
      this.counts[name] = { number, button };
      return button;
    });
    this.rate = this.fact("now");
    this.left = this.fact("left");
    this.end = this.fact("last task ends");
    this.trends = this.fact("trends");
    by("fleet").append(make("div", { class: "states", role: "group", "aria-label": "Filter by health" }, ...states),
      make("dl", { class: "facts" }, ...[this.rate, this.left, this.end, this.trends].map((each) => each.element)));
  }

  fact(label) {
    const value = make("dd", { class: "number" }, "–");
    return { value, element: make("div", {}, value, make("dt", {}, label)) };
  }

  show(fleet, pressed) {
    for (const [name, { number, button }] of Object.entries(this.counts)) {
      setText(number, count(fleet.health[name] ?? fleet.without_eta_by_reason[name] ?? 0));
      setAttribute(button, "aria-pressed", String((pressed ?? "").split(",").includes(name)));
    }
    const { bytes_done: done, bytes_left: left, ends_at_ms: endMs, now_ms: nowMs } = fleet;
    setText(this.rate.value, rate(fleet.rate_bps));
    setText(this.left.value, `${bytes(left)} of ${bytes(done + left)}`);
    const without = fleet.without_eta > 0 ? `, ${count(fleet.without_eta)} without an end` : "";
    const end = endMs === null ? "unknown" : `${moment(endMs, nowMs)}, in ${duration((endMs - nowMs) / 1000)}`;
    setText(this.end.value, end + without);
    const arrows = ["ACCELERATING", "STEADY", "SLOWING"].map((name) => `${TREND[name].sign} ${count(fleet.trend[name] ?? 0)}`);
    setText(this.trends.value, arrows.join("  "));
  }
}
