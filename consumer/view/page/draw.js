// Makes elements. Every string goes in as text: there is no way from here to markup.

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

// Changes a text only where it differs, so that a thousand updates that change nothing cost nothing.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// Bars of a rate, one a minute; the highest fills the height.
export function spark() {
  const path = svg("path", {});
  const picture = svg("svg", { class: "spark", viewBox: "0 0 120 24", preserveAspectRatio: "none", role: "img" }, path);
  return { picture, update: (values, words) => { set(path, "d", bars(values, 120, 24)); set(picture, "aria-label", words); } };
}

export function bars(values, width, height) {
  const most = Math.max(...values, 1);
  const step = width / values.length;
  let d = "";
  values.forEach((value, place) => {
    const tall = value > 0 ? Math.max(1, (value / most) * height) : 0;
    if (tall > 0) d += `M${(place * step).toFixed(1)} ${height}v${(-tall).toFixed(1)}h${(step * 0.8).toFixed(1)}v${tall.toFixed(1)}z`;
  });
  return d;
}

export const HEALTH = {
  SILENT: { word: "silent", sign: "◆" },
  NO_PROGRESS: { word: "no progress", sign: "■" },
  SLOW: { word: "slow", sign: "▲" },
  OK: { word: "moving", sign: "●" },
  COMPLETE: { word: "complete", sign: "✓" },
};
export const TREND = {
  WARMING: { word: "warming", sign: "…" },
  STEADY: { word: "steady", sign: "→" },
  SLOWING: { word: "slowing", sign: "↘" },
  ACCELERATING: { word: "accelerating", sign: "↗" },
};

// Nothing moves, so nothing gets faster or slower: a trend would mislead.
export function isStill(health) {
  return health === "COMPLETE" || health === "SILENT" || health === "NO_PROGRESS";
}

// A worker newer than this page may say a word that it does not know.
export function known(table, name) {
  return table[name] ?? { word: name.toLowerCase(), sign: "?" };
}
