// The list: totals, filters, table, pages. The URL holds what it shows; the stream changes single rows.

import { Choice } from "./choice.js";
import { make, setAttribute, setText } from "./draw.js";
import { count, moment, subtaskWords } from "./format.js";
import { GroupRows, worstFirst } from "./groups.js";
import { Reader } from "./reader.js";
import { COLUMNS, Row } from "./row.js";
import { LastLook, SavedFilters } from "./saved.js";
import { Fleet, Slowdowns } from "./summary.js";

const PAGE_SIZE = 100;
const FILTERS = ["q", "project", "subtask", "trend", "health", "eta_reason", "attention", "note"];
const TYPED = ["q", "project"];
const SUBTASKS = [
  "CREATE_CLOUD_SERVER", "SSL_CONFIG", "ATTACH_AGENT_IMAGE", "DETTACH_AGENT_IMAGE", "FORMAT_DISK_LINUX",
  "FORMAT_DISK_LINUX_FILE", "FORMAT_DISK_LINUX_BLOCK", "FORMAT_DISK_WINDOWS", "MIGRATE_LINUX_FILE",
  "MIGRATE_LINUX_BLOCK", "MIGRATE_WINDOWS_BLOCK", "CLONE_VM", "SYNC_LINUX_FILE", "SYNC_LINUX_BLOCK",
  "SYNC_WINDOWS_BLOCK", "CONFIGURE_LINUX", "CONFIGURE_LINUX_BLOCK", "CONFIGURE_LINUX_FILE", "CONFIGURE_WINDOWS",
];
const TRENDS = ["SLOWING", "STEADY", "ACCELERATING", "WARMING"];
const by = (id) => document.getElementById(id);
const keyOf = (task) => `${task.project_id}/${task.task_id}`;
const several = (text) => (text ?? "").split(",").map((each) => each.trim()).filter(Boolean);

export class List {
  // fetchJson(path, parameters) fetches; navigate(parameters, state) changes the URL; follow(filters) opens the stream;
  // showNeeded(tasks) is called with the number of tasks that need somebody.
  constructor(fetchJson, navigate, follow, showNeeded) {
    this.fetchJson = fetchJson;
    this.navigate = navigate;
    this.follow = follow;
    this.showNeeded = showNeeded;
    this.rows = new Map();
    this.pending = new Map();
    this.filters = {};
    this.cursors = [null];
    this.requests = 0;
    this.waiting = null; // a page that is to be arranged when nobody reads the rows
    this.look = new LastLook();
    this.saved = new SavedFilters(() => new URLSearchParams(this.address()).toString());
    this.slowdowns = new Slowdowns();
    this.fleet = new Fleet((name) => this.filterCondition(name));
    this.choices = {
      subtask: new Choice(by("filter-subtask"), "Subtask", SUBTASKS.map((name) => [name, subtaskWords(name)]), (chosen) => this.filter("subtask", chosen)),
      trend: new Choice(by("filter-trend"), "Trend", TRENDS.map((name) => [name, name.toLowerCase()]), (chosen) => this.filter("trend", chosen)),
    };
    const columns = Object.entries(COLUMNS).filter(([name]) => name !== "task").map(([name, { label }]) => [name, label.toLowerCase()]);
    this.columnChoice = new Choice(by("choose-columns"), "Columns", columns, (chosen) => this.chooseColumns(chosen));
    by("columns").append(...Object.entries(COLUMNS).map(([name, column]) => this.heading(name, column)));
    by("sort-phone").append(...Object.values(COLUMNS).filter(({ sort }) => sort).map(({ sort, label }) => make("option", { value: sort }, label.toLowerCase())));
    by("sort-phone").addEventListener("change", (event) => this.sortBy(event.target.value));
    for (const name of TYPED) {
      let timer = 0;
      by(`filter-${name}`).addEventListener("input", (event) => {
        clearTimeout(timer);
        timer = setTimeout(() => this.filter(name, name === "q" ? [event.target.value.trim()] : several(event.target.value)), 250);
      });
    }
    by("group").addEventListener("click", () => this.navigate({ ...this.address(), group: this.grouped ? "" : "project" }));
    by("clear").addEventListener("click", () => this.navigate({}));
    by("next").addEventListener("click", () => this.turnPage(1));
    by("previous").addEventListener("click", () => this.turnPage(-1));
    by("seen").addEventListener("click", () => { this.look.forget(this.nowMs()); this.redraw(); });
    this.reader = new Reader(by("rows"), () => { if (this.waiting) this.take(this.waiting); });
  }

  // Shows what the URL says.
  show(address) {
    this.filters = {};
    for (const name of FILTERS) if (address.get(name)) this.filters[name] = address.get(name);
    this.sort = address.get("sort") ?? "health";
    this.grouped = address.get("group") === "project";
    this.columns = several(address.get("columns")).filter((name) => COLUMNS[name]);
    const cursor = address.get("cursor");
    const before = history.state?.cursors;
    this.cursors = before?.at(-1) === cursor ? before : cursor ? [null, cursor] : [null];
    this.place = cursor ? Math.max(2, Math.floor(Number(address.get("page"))) || 2) : 1;
    for (const name of TYPED) {
      const field = by(`filter-${name}`);
      if (document.activeElement !== field || !this.filters[name]) field.value = this.filters[name] ?? "";
    }
    for (const [name, choice] of Object.entries(this.choices)) choice.show(several(this.filters[name]), "any");
    by("clear").hidden = Object.keys(this.filters).length === 0;
    setAttribute(by("group"), "aria-pressed", String(this.grouped));
    this.groups = new GroupRows(this.address());
    this.showColumns();
    this.showSort();
    this.follow(this.filters);
    this.reader.leave();
    this.waiting = null; // it was arranged for another address
    return this.refresh();
  }

  // The parameters of the address that shows this list, from its first page on.
  address() {
    const parameters = { ...this.filters, sort: this.sort === "health" ? "" : this.sort, group: this.grouped ? "project" : "", columns: this.columns.join(",") };
    return Object.fromEntries(Object.entries(parameters).filter(([, value]) => value));
  }

  // Sets the values of a filter, or removes it if there are none. It replaces the filters `replaced`.
  filter(name, values, replaced = []) {
    const next = this.address();
    for (const each of replaced) delete next[each];
    this.navigate({ ...next, [name]: values.join(",") });
  }

  // A button of the fleet adds its condition to the filter, or takes it away: healths; all that need somebody; a reason
  // of a withheld end.
  filterCondition(name) {
    const kinds = ["health", "eta_reason", "attention"];
    const [kind, value] = name === "attention" ? [name, "needed"] : name === "NOT_CONVERGING" ? ["eta_reason", name] : ["health", name];
    const chosen = several(this.filters[kind]);
    const next = chosen.includes(value) ? chosen.filter((each) => each !== value) : [...chosen, value];
    this.filter(kind, next, kinds.filter((each) => each !== kind));
  }

  sortBy(sort) {
    const next = this.sort === sort ? (sort.startsWith("-") ? sort.slice(1) : `-${sort}`) : sort;
    this.navigate({ ...this.address(), sort: next === "health" ? "" : next, group: "" });
  }

  chooseColumns(chosen) {
    const names = Object.keys(COLUMNS).filter((name) => name === "task" || chosen.includes(name));
    this.navigate({ ...this.address(), columns: names.length === Object.keys(COLUMNS).length ? "" : names.join(",") });
  }

  turnPage(step) {
    const cursors = step > 0 ? [...this.cursors, this.nextCursor] : this.cursors.slice(0, -1);
    const cursor = cursors.at(-1) ?? null;
    this.scrollsUp = true;
    this.navigate({ ...this.address(), page: cursor ? String(this.place + step) : "", cursor: cursor ?? "" }, { cursors });
  }

  // Fetches the page and the fleet again, and sorts the rows. Gives the pipeline's state; none if it was too late.
  async refresh() {
    const request = (this.requests += 1);
    const [page, fleet] = await Promise.all([
      this.fetchJson("tasks", { ...this.filters, sort: this.grouped ? "project_id" : this.sort, limit: PAGE_SIZE, cursor: this.cursors.at(-1), fold: this.isOpened() ? "" : "silences" }),
      this.fetchFleet(),
    ]);
    if (request !== this.requests) return; // a later one is on its way
    this.bucketS = page.bucket_s;
    this.skewMs = page.now_ms - Date.now();
    if (!document.hidden) this.look.look(page.now_ms);
    this.slowdowns.show(fleet.slowdowns, fleet.now_ms);
    this.fleet.show(fleet, this.filters);
    this.showNeeded(fleet.needs_attention);
    this.take(page);
    if (this.scrollsUp) by("main").scrollIntoView();
    this.scrollsUp = false;
    return page.pipeline;
  }

  // Whether this list is what a mass silence opens to: the silent tasks of one project.
  isOpened() {
    return this.filters.health === "SILENT" && several(this.filters.project).length === 1;
  }

  // The totals without the filters that their buttons set.
  fetchFleet() {
    return this.fetchJson("fleet", { ...this.filters, health: null, eta_reason: null, attention: null });
  }

  // Fetches only how many tasks need somebody, for a page that nobody sees.
  async refreshNeeded() {
    const { needs_attention: needed } = await this.fetchFleet();
    this.showNeeded(needed);
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
      if (task) this.showRow(row, task);
      else row.markGone();
    }
    if (changes.length > 0) this.showNews();
  }

  showRow(row, task) {
    row.task = task;
    row.isNews = row.show(task, this.nowMs(), this.bucketS, this.look.sinceMs);
  }

  redraw() {
    for (const row of this.rows.values()) this.showRow(row, row.task);
    this.showNews();
  }

  nowMs() {
    return Date.now() + (this.skewMs ?? 0);
  }

  // Shows this page, or keeps it for later while somebody reads the rows.
  take(page) {
    const keys = (this.grouped ? worstFirst(page.tasks) : page.tasks).map(keyOf);
    const shown = [...this.rows.keys()];
    const moved = keys.filter((key, index) => shown[index] !== key).length + Math.max(0, shown.length - keys.length);
    const isHeld = moved > 0 && this.reader.isReading() && shown.length > 0;
    this.waiting = isHeld ? page : null;
    by("waiting").hidden = !isHeld;
    if (isHeld) {
      const wait = moved === 1 ? "1 row waits" : `${count(moved)} rows wait`;
      setText(by("waiting"), `${wait} until you leave the table`);
      for (const each of page.folded) this.groups.silence(each, this.nowMs());
      for (const task of page.tasks) if (this.rows.has(keyOf(task))) this.showRow(this.rows.get(keyOf(task)), task);
    } else {
      this.nextCursor = page.next_cursor;
      this.arrange(page.tasks, this.place === 1 ? page.folded : []);
      this.showRange(page);
    }
    this.showNews();
  }

  // Shows these mass silences and these tasks in this order. A row keeps its element, and a row that is no longer shown lends it to a new task.
  arrange(tasks, folded) {
    const body = by("rows");
    const focused = document.activeElement;
    const kept = new Map();
    const shown = new Set(tasks.map(keyOf));
    const spare = [...this.rows].filter(([key]) => !shown.has(key)).map(([, row]) => row);
    for (const row of spare) if (row.element.contains(focused)) focused.blur(); // its element will show another task
    const elements = folded.map((each) => this.groups.silence(each, this.nowMs()));
    let project = null;
    for (const task of this.grouped ? worstFirst(tasks) : tasks) {
      const key = keyOf(task);
      const row = this.rows.get(key) ?? spare.pop() ?? new Row();
      kept.set(key, row);
      this.showRow(row, task);
      if (this.grouped && task.project_id !== project) elements.push(this.groups.project(task.project_id));
      project = task.project_id;
      elements.push(row.element);
    }
    this.rows = kept;
    for (const each of [...body.children]) if (!elements.includes(each)) each.remove();
    elements.forEach((element, index) => { if (body.children[index] !== element) body.insertBefore(element, body.children[index] ?? null); });
    if (focused !== document.activeElement && body.contains(focused)) focused.focus({ preventScroll: true });
    by("none").hidden = tasks.length + folded.length > 0;
    const projects = new Set(tasks.map((task) => task.project_id));
    by("projects").replaceChildren(...[...projects].sort().map((each) => make("option", { value: each })));
  }

  heading(name, { sort, label }) {
    if (sort === null) return make("th", { scope: "col", role: "columnheader", class: name }, label);
    const button = make("button", { type: "button", "data-sort": sort }, label);
    button.addEventListener("click", () => this.sortBy(sort));
    return make("th", { scope: "col", role: "columnheader", class: name }, button);
  }

  showColumns() {
    const isChosen = this.columns.length > 0 && this.columns.length < Object.keys(COLUMNS).length;
    const shown = isChosen ? Object.keys(COLUMNS).filter((name) => name === "task" || this.columns.includes(name)) : Object.keys(COLUMNS);
    const table = by("tasks");
    for (const name of Object.keys(COLUMNS)) table.classList.toggle(`no-${name}`, !shown.includes(name));
    table.classList.toggle("chosen", isChosen);
    const widths = shown.map((name) => (name === "task" && !shown.includes("progress") ? "minmax(0, 1fr)" : `var(--${name}-width)`));
    table.style.setProperty("--widths", widths.join(" "));
    this.columnChoice.show(shown.filter((name) => name !== "task"), "all");
  }

  showSort() {
    const sort = this.grouped ? "" : this.sort;
    for (const button of by("columns").querySelectorAll("button")) {
      const same = sort.replace(/^-/, "") === button.dataset.sort.replace(/^-/, "");
      const direction = sort.startsWith("-") ? "descending" : "ascending";
      if (same) setAttribute(button.parentElement, "aria-sort", direction);
      else button.parentElement.removeAttribute("aria-sort");
    }
    by("sort-phone").value = [...by("sort-phone").options].map((each) => each.value)
      .find((each) => each.replace(/^-/, "") === sort.replace(/^-/, "")) ?? "health";
  }

  showRange(page) {
    const first = (this.place - 1) * PAGE_SIZE;
    const last = first + page.tasks.length;
    const folded = page.folded.reduce((sum, each) => sum + each.count, 0);
    const more = folded === 0 ? "" : `, and ${count(folded)} that fell silent together`;
    setText(by("where"), page.count === 0 ? "" : `${count(first + 1)} to ${count(last)} of ${count(page.count)}${more}`);
    by("previous").disabled = this.cursors.length === 1;
    by("next").disabled = !this.nextCursor;
  }

  // How many of these tasks changed their health since somebody last looked.
  showNews() {
    const since = this.look.sinceMs;
    const news = [...this.rows.values()].filter((each) => each.isNews).length;
    const tasks = `${count(news)} of these ${count(this.rows.size)} tasks`;
    by("news").hidden = since === null || this.rows.size === 0;
    by("seen").hidden = news === 0;
    if (since !== null) setText(by("news-text"), `${news === 0 ? "None of these tasks" : tasks} changed health since you last looked, ${moment(since, this.nowMs())}.`);
  }
}
