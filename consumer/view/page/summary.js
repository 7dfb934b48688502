// What is above the list: the totals of the tasks, whose counts are filters, and tasks that slowed down together.

import { HEALTH, TREND, make, setAttribute, setText } from "./draw.js";
import { bytes, count, duration, moment, rate, subtaskWords } from "./format.js";

const by = (id) => document.getElementById(id);

// Tasks that slowed down together in the last hour: what they share, and the numbers.
export class Slowdowns {
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
      const name = share.project_id ?? subtaskWords(share.subtask_name);
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
    const name = each.kind === "project" ? each.name : subtaskWords(each.name);
    const address = `./?${new URLSearchParams({ [each.kind]: each.name })}`;
    return make("span", {}, each.kind === "project" ? "in project " : "all in ", make("a", { href: address }, make("bdi", {}, name)));
  }
}

export class Fleet {
  // select(name) is called with the condition whose button was pressed; with "attention" for all that need somebody.
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
    this.needed = make("strong", { class: "number" }, "0");
    this.needsMe = make(
      "button", { type: "button", class: "state", id: "needs-me", "aria-pressed": "false" },
      make("span", { class: "sign", "aria-hidden": "true" }, "!"), this.needed, make("span", {}, "need somebody"),
    );
    this.needsMe.addEventListener("click", () => select("attention"));
    this.rate = this.fact("now");
    this.left = this.fact("left");
    this.end = this.fact("last task ends");
    this.trends = this.fact("trends");
    by("fleet").append(make("div", { class: "states", role: "group", "aria-label": "Filter by health" }, this.needsMe, ...states),
      make("dl", { class: "facts" }, ...[this.rate, this.left, this.end, this.trends].map((each) => each.element)));
  }

  fact(label) {
    const value = make("dd", { class: "number" }, "–");
    return { value, element: make("div", {}, value, make("dt", {}, label)) };
  }

  show(fleet, filters) {
    const pressed = `${filters.health ?? ""},${filters.eta_reason ?? ""}`.split(",");
    setText(this.needed, count(fleet.needs_attention));
    setAttribute(this.needsMe, "aria-pressed", String(filters.attention === "needed"));
    for (const [name, { number, button }] of Object.entries(this.counts)) {
      setText(number, count(fleet.health[name] ?? fleet.without_eta_by_reason[name] ?? 0));
      setAttribute(button, "aria-pressed", String(pressed.includes(name)));
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
