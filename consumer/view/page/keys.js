// The keys of the list: j and k move from task to task, Escape leaves them, / goes to the search, ? lists the keys. Enter
// follows a link, as in every page. Keys that are typed into a field, or with a modifier, are not taken.

const by = (id) => document.getElementById(id);
const TYPED_INTO = "input:not([type=checkbox]), select, textarea, [contenteditable]";

export function listenToKeys() {
  const actions = { j: () => moveFocus(1), k: () => moveFocus(-1), "/": focusSearch, "?": () => by("keys").showModal(), Escape: leaveRows };
  document.addEventListener("keydown", (event) => {
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest(TYPED_INTO) || by("keys").open || (event.key !== "?" && by("list").hidden)) return;
    if (event.key !== "Escape") event.preventDefault();
    action();
  });
  by("keys-show").addEventListener("click", () => by("keys").showModal());
  by("keys-close").addEventListener("click", () => by("keys").close());
}

// Focuses the link of the row that is `step` rows after the focused one; without one, the first or the last.
function moveFocus(step) {
  const links = [...by("rows").querySelectorAll("a")];
  if (links.length === 0) return;
  const row = document.activeElement?.closest("#rows tr");
  const place = row ? links.findIndex((each) => row.contains(each)) : -1;
  const next = place >= 0 ? place + step : step > 0 ? 0 : links.length - 1;
  const link = links[Math.min(Math.max(next, 0), links.length - 1)];
  link.focus({ preventScroll: true });
  link.closest("tr").scrollIntoView({ block: "nearest" });
}

function leaveRows() {
  if (by("rows").contains(document.activeElement)) document.activeElement.blur();
}

function focusSearch() {
  by("filter-q").focus();
  by("filter-q").select();
}
