// What this browser keeps of the list: filters under a name, and when somebody last looked.

import { make } from "./draw.js";

const SAVED_KEY = "taskstream-saved";
const LOOKED_KEY = "taskstream-looked";
const SAME_LOOK_MS = 10 * 60 * 1000; // a look that is interrupted for less, by a reload say, goes on
const by = (id) => document.getElementById(id);

// What is stored under this key, or `otherwise`: also if it is not JSON.
function stored(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

// The menu of saved filters: links to them, a button that deletes each, a field that saves those of the address.
export class SavedFilters {
  // query() gives the query of the address that is to be saved.
  constructor(query) {
    by("save").addEventListener("submit", (event) => {
      event.preventDefault();
      const name = by("save-name").value.trim();
      if (name === "") return;
      this.store([...this.all().filter((each) => each.name !== name), { name, query: query() }]);
      by("save-name").value = "";
    });
    addEventListener("storage", (event) => { if (event.key === SAVED_KEY) this.draw(); });
    this.draw();
  }

  all() {
    const found = stored(SAVED_KEY, []);
    return Array.isArray(found) ? found.filter((each) => typeof each?.name === "string" && typeof each.query === "string") : [];
  }

  store(filters) {
    localStorage.setItem(SAVED_KEY, JSON.stringify(filters.sort((one, other) => one.name.localeCompare(other.name))));
    this.draw();
  }

  draw() {
    const lines = this.all().map(({ name, query }) => {
      const link = make("a", { href: query ? `./?${query}` : "./" }, make("bdi", {}, name));
      link.addEventListener("click", () => { by("saved").open = false; });
      const button = make("button", { type: "button", class: "quiet", "aria-label": `Delete ${name}` }, "✕");
      button.addEventListener("click", (event) => {
        event.stopPropagation(); // the button is gone when the click reaches the document, which would close the menu
        this.store(this.all().filter((each) => each.name !== name));
        by("save-name").focus();
      });
      return make("li", {}, link, button);
    });
    by("saved-filters").replaceChildren(...lines);
    by("saved-filters").hidden = lines.length === 0;
  }
}

// When somebody last looked at the list in this browser, in any of its tabs. Times are those of the view's clock.
export class LastLook {
  constructor() {
    this.sinceMs = null; // the end of the look before this one; null at the first
  }

  // Somebody looks now.
  look(nowMs) {
    const { sinceMs = null, untilMs = null } = stored(LOOKED_KEY, {});
    const isNew = untilMs !== null && nowMs - untilMs > SAME_LOOK_MS;
    this.sinceMs = isNew ? untilMs : sinceMs;
    this.store(nowMs);
  }

  // All that is shown has been seen.
  forget(nowMs) {
    this.sinceMs = nowMs;
    this.store(nowMs);
  }

  store(nowMs) {
    localStorage.setItem(LOOKED_KEY, JSON.stringify({ sinceMs: this.sinceMs, untilMs: nowMs }));
  }
}
