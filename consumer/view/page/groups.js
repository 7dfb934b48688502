// The rows of the list that stand for several tasks: a project's heading, and a mass silence. All strings go in as text.

import { HEALTH, condition, make, setText } from "./draw.js";
import { count, duration, moment } from "./format.js";

const HEALTHS = Object.keys(HEALTH);

// These tasks, which are in the order of their projects: the worst first within each.
export function worstFirst(tasks) {
  const isWorse = (one, other) => HEALTHS.indexOf(condition(one)) - HEALTHS.indexOf(condition(other)) || one.health_since_ms - other.health_since_ms;
  const projects = new Map(tasks.map((task) => [task.project_id, []]));
  for (const task of tasks) projects.get(task.project_id).push(task);
  return [...projects.values()].flatMap((own) => own.sort(isWorse));
}

export class GroupRows {
  // `address` has the parameters of the list, which the links of the rows keep. A row keeps its element.
  constructor(address) {
    this.address = address;
    this.projects = new Map();
    this.silences = new Map();
  }

  // The row above the tasks of a project.
  project(project) {
    if (!this.projects.has(project)) {
      const { group, ...own } = { ...this.address, project };
      const link = make("a", { href: `./?${new URLSearchParams(own)}` }, make("bdi", {}, project));
      this.projects.set(project, make("tr", { role: "row", class: "group" }, make("td", { role: "cell" }, make("span", {}, "Project "), link)));
    }
    return this.projects.get(project);
  }

  // The row of a mass silence: how many tasks, of which project, when, and a link to them.
  silence({ project_id: project, count: tasks, begin_ms: beginMs, end_ms: endMs }, nowMs) {
    const key = `${project} ${beginMs}`;
    if (!this.silences.has(key)) this.silences.set(key, this.newSilence(project));
    const { element, number, when } = this.silences.get(key);
    setText(number, `${count(tasks)} tasks`);
    setText(when, `last reports within ${duration(Math.max(1, (endMs - beginMs) / 1000))} of ${moment(beginMs, nowMs)}`);
    return element;
  }

  newSilence(project) {
    const { attention, note, group, ...own } = { ...this.address, health: "SILENT", project };
    const number = make("strong");
    const when = make("span", { class: "faint" });
    const element = make("tr", { role: "row", class: "fold", "data-health": "SILENT" }, make("td", { role: "cell" },
      make("span", { class: "sign", "aria-hidden": "true" }, HEALTH.SILENT.sign), number,
      make("span", {}, " of project ", make("bdi", {}, project), " fell silent together, "), when,
      make("a", { href: `./?${new URLSearchParams(own)}` }, "Show them")));
    return { element, number, when };
  }
}
