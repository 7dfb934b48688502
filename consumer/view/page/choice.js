// A menu of checkboxes behind a button: the values of a filter, or the columns. Escape or a click elsewhere closes it.

import { make, setText } from "./draw.js";

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" ? document.activeElement?.closest("details.menu[open]") : null;
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

export class Choice {
  // `options` are pairs of a value and its words. choose(values) is called with the chosen values, in the order of the
  // options, after each change.
  constructor(menu, label, options, choose) {
    this.label = label;
    this.summary = make("summary", {});
    this.boxes = options.map(([value]) => make("input", { type: "checkbox", value }));
    this.words = new Map(options);
    const lines = options.map(([, words], index) => make("label", {}, this.boxes[index], make("span", {}, words)));
    menu.append(this.summary, make("fieldset", { "aria-label": label }, ...lines));
    menu.addEventListener("change", () => choose(this.boxes.filter((each) => each.checked).map((each) => each.value)));
  }

  // Checks these values. `all` is what none or all are called.
  show(values, all) {
    for (const box of this.boxes) box.checked = values.includes(box.value);
    const chosen = values.map((each) => this.words.get(each) ?? each);
    const some = chosen.length === 1 ? chosen[0] : `${chosen.length} of ${this.boxes.length}`;
    setText(this.summary, `${this.label}: ${chosen.length === 0 || chosen.length === this.boxes.length ? all : some}`);
  }
}
