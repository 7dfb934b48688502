// Makes elements. Every string is inserted as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Writes a text only if it differs, so that updates without a change cost no layout.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// A bar chart of a rate, one bar per minute; the highest fills the height.
export function spark() {
  const path = svg("path", {});
  const picture = svg("svg", { class: "spark", viewBox: "0 0 120 24", preserveAspectRatio: "none", role: "img" }, path);
  return { picture, update: (values, label) => { setAttribute(path, "d", bars(values, 120, 24)); setAttribute(picture, "aria-label", label); } };
}

export function bars(values, width, height) {
  const highest = Math.max(...values, 1);
  const step = width / values.length;
  let d = "";
  values.forEach((value, index) => {
    const tall = value > 0 ? Math.max(1, (value / highest) * height) : 0;
    if (tall > 0) d += `M${(index * step).toFixed(1)} ${height}v${(-tall).toFixed(1)}h${(step * 0.8).toFixed(1)}v${tall.toFixed(1)}z`;
  });
  return d;
}

export const HEALTH = {
  SILENT: { word: "silent", sign: "◆" },
  NO_PROGRESS: { word: "no progress", sign: "■" },
  SLOW: { word: "slow", sign: "▲" },
  NOT_CONVERGING: { word: "not converging", sign: "▲" },
  OK: { word: "moving", sign: "●" },
  COMPLETE: { word: "complete", sign: "✓" },
};
// The tone of an event of the diary: that of the health it begins; an end of trouble and good news have tones of their own.
export function signalTone(signal) {
  if (signal.signal === "RESUMED") return "OK";
  if (signal.signal === "RESET") return "SLOW";
  if (signal.signal === "ETA_MOVED") return signal.eta_ms !== null && signal.eta_before_ms !== null && signal.eta_ms <= signal.eta_before_ms ? "" : "SLOW";
  return HEALTH[signal.signal] ? signal.signal : "";
}
export const TREND = {
  WARMING: { word: "warming", sign: "…" },
  STEADY: { word: "steady", sign: "→" },
  SLOWING: { word: "slowing", sign: "↘" },
  ACCELERATING: { word: "accelerating", sign: "↗" },
};

// The health as the page names it: a task that moves and whose total grows as fast as the copy is not converging.
export function condition(task) {
  return task.health === "OK" && task.eta_reason === "NOT_CONVERGING" ? "NOT_CONVERGING" : task.health;
}

// Whether no bytes move. A trend of such a task would mislead, so none is shown.
export function isStill(health) {
  return health === "COMPLETE" || health === "SILENT" || health === "NO_PROGRESS";
}

// The entry of a name, or a substitute: a worker newer than this page may send a name that the page does not know.
export function known(table, name) {
  return table[name] ?? { word: name.toLowerCase(), sign: "?" };
}
