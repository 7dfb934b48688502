// The chart of a rate over time: axes, bars where it was measured, shaded stalls and silences, a mean, and a cursor that
// the pointer or the arrow keys move. Its right edge is now. It fetches nothing.

import { make, setText, svg } from "./draw.js";
import { bytes, clock, duration, exact, moment, rate, zoneName } from "./format.js";

const HEIGHT = 190;
const LEFT = 74;
const BOTTOM = 24;
const TOP = 10;
const RIGHT = 8;
const MEAN_POINTS = 10;
const NICE = [1, 2, 2.5, 5, 10];
const STEPS_S = [60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400];

// The points of a series' last 30 minutes: { fromMs, toMs, bytes } for each that was measured.
export function minutePoints(series, bucketS) {
  const widthMs = bucketS * 1000;
  const points = series.minute_bytes.map((each, index) => {
    const fromMs = series.open_minute_ms - (series.minute_bytes.length - index) * widthMs;
    return { fromMs, toMs: fromMs + widthMs, bytes: each };
  });
  const openMs = series.last_seen_ms - series.open_minute_ms;
  if (openMs > widthMs / 4) points.push({ fromMs: series.open_minute_ms, toMs: series.last_seen_ms, bytes: series.open_minute_bytes }); // a rate of a few seconds is noise
  return points.filter((each) => each.toMs > series.rated_from_ms && each.toMs > each.fromMs)
    .map((each) => ({ ...each, fromMs: Math.max(each.fromMs, series.rated_from_ms) }));
}

// Stretches of { fromMs, toMs, kind }: without bytes (stall) and without reports (silence), until now.
export function stretches(points, series, isOpen, nowMs, leastMs) {
  const found = [];
  for (const { fromMs, toMs, bytes: moved } of points) {
    const last = found.at(-1);
    if (moved > 0) continue;
    if (last?.toMs === fromMs) last.toMs = toMs;
    else found.push({ fromMs, toMs, kind: "stall" });
  }
  if (isOpen && nowMs - series.last_seen_ms > leastMs) found.push({ fromMs: series.last_seen_ms, toMs: nowMs, kind: "silence" });
  return found.filter((each) => each.toMs - each.fromMs >= leastMs);
}

// shown: { points, stretches, fromMs, nowMs, reportedBps, reportedAtMs, label }. width: pixels.
export function chart(shown, width) {
  const { points, fromMs, nowMs } = shown;
  const rates = points.map((each) => each.bytes / Math.max((each.toMs - each.fromMs) / 1000, 1));
  const highest = Math.max(...rates, shown.reportedBps ?? 0, 1);
  const top = niceTop(highest);
  const x = (ms) => LEFT + ((Math.min(Math.max(ms, fromMs), nowMs) - fromMs) / (nowMs - fromMs)) * (width - LEFT - RIGHT);
  const y = (bps) => TOP + (1 - Math.min(bps / top, 1)) * (HEIGHT - TOP - BOTTOM);
  const parts = [];
  for (const each of shown.stretches) {
    parts.push(svg("rect", { class: each.kind, x: x(each.fromMs), y: TOP, width: Math.max(1, x(each.toMs) - x(each.fromMs)), height: HEIGHT - TOP - BOTTOM }));
  }
  for (const part of [0, 0.5, 1]) {
    parts.push(svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(part * top), y2: y(part * top) }),
      svg("text", { x: LEFT - 8, y: y(part * top) + 4, "text-anchor": "end" }, part === 0 ? "0" : rate(part * top)));
  }
  const bars = points.map((each, index) => {
    const begin = x(each.fromMs);
    const wide = Math.max(x(each.toMs) - begin - (points.length < 200 ? 1 : 0), 0.5);
    const high = rates[index] > 0 ? Math.max(1, y(0) - y(rates[index])) : 0;
    return high > 0 && each.toMs > fromMs ? `M${begin.toFixed(1)} ${y(0).toFixed(1)}v${(-high).toFixed(1)}h${wide.toFixed(1)}v${high.toFixed(1)}z` : "";
  }).join("");
  parts.push(svg("path", { class: "bars", d: bars }), svg("path", { class: "mean", d: meanLine(points, x, y) }));
  if (shown.reportedBps !== null && shown.reportedBps > 0 && shown.reportedAtMs >= fromMs) {
    const at = x(shown.reportedAtMs);
    const high = y(shown.reportedBps);
    parts.push(svg("path", { class: "reported", d: `M${at - 5} ${high}l5 -5l5 5l-5 5z` }));
  }
  parts.push(...timeAxis(fromMs, nowMs, x, width));
  const cursor = svg("line", { class: "cursor", x1: -9, x2: -9, y1: TOP, y2: HEIGHT - BOTTOM });
  const picture = svg("svg", { id: "chart", class: "plot", width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", tabindex: "0", "aria-label": shown.label },
    ...parts, cursor);
  const readout = make("output", { class: "readout number", for: "chart" }, "");
  follow(picture, cursor, readout, shown, rates, x);
  return make("figure", { class: "chart" }, picture, readout, legend(shown));
}

function legend(shown) {
  const kinds = new Set(shown.stretches.map((each) => each.kind));
  const items = [["bars", shown.barText], ["mean", `mean of ${MEAN_POINTS} of them`]];
  if (kinds.has("stall")) items.push(["stall", "no bytes"]);
  if (kinds.has("silence")) items.push(["silence", "no report"]);
  if (shown.reportedBps !== null && shown.reportedBps > 0) items.push(["reported", `reported by the agent: ${rate(shown.reportedBps)}`]);
  return make("figcaption", { class: "legend faint" }, ...items.map(([kind, text]) => make("span", {}, make("span", { class: `key ${kind}`, "aria-hidden": "true" }), text)),
    make("span", {}, `times: ${zoneName(shown.nowMs)}`));
}

// A mean over the last points, drawn only where all of them follow each other.
function meanLine(points, x, y) {
  let path = "";
  let isDrawing = false;
  for (let last = MEAN_POINTS - 1; last < points.length; last += 1) {
    const among = points.slice(last - MEAN_POINTS + 1, last + 1);
    const gapless = among.every((each, index) => index === 0 || each.fromMs === among[index - 1].toMs);
    if (gapless) {
      const bps = among.reduce((sum, each) => sum + each.bytes, 0) / ((among.at(-1).toMs - among[0].fromMs) / 1000);
      path += `${isDrawing ? "L" : "M"}${x(among.at(-1).toMs).toFixed(1)} ${y(bps).toFixed(1)}`;
    }
    isDrawing = gapless;
  }
  return path;
}

function timeAxis(fromMs, nowMs, x, width) {
  const most = Math.max(2, Math.floor((width - LEFT) / 90));
  const stepMs = 1000 * (STEPS_S.find((each) => (nowMs - fromMs) / 1000 / each <= most) ?? STEPS_S.at(-1));
  const parts = [];
  const offsetMs = new Date(nowMs).getTimezoneOffset() * 60000;
  for (let at = Math.ceil((fromMs - offsetMs) / stepMs) * stepMs + offsetMs; at < nowMs; at += stepMs) {
    parts.push(svg("line", { class: "tick", x1: x(at), x2: x(at), y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM + 4 }));
    if (x(at) < width - 60 && x(at) > LEFT + 10) parts.push(svg("text", { x: x(at), y: HEIGHT - 7, "text-anchor": "middle" }, moment(at, nowMs)));
  }
  parts.push(svg("text", { x: width - RIGHT, y: HEIGHT - 7, "text-anchor": "end" }, "now"));
  return parts;
}

function niceTop(highest) {
  const power = 10 ** Math.floor(Math.log10(highest));
  return power * NICE.find((each) => each * power >= highest);
}

// Says what is under the pointer; the arrow keys move from point to point.
// When the point begins that the cursor is at: it stays there when the chart is drawn anew.
let cursorMs = null;

export function forgetCursor() {
  cursorMs = null;
}

function follow(picture, cursor, readout, shown, rates, x) {
  const { points, nowMs } = shown;
  let place = points.findIndex((each) => each.fromMs === cursorMs);
  const show = (index) => {
    place = index;
    const each = points[index];
    cursorMs = each.fromMs;
    const middle = (x(each.fromMs) + x(each.toMs)) / 2;
    cursor.setAttribute("x1", middle);
    cursor.setAttribute("x2", middle);
    const total = each.total === undefined ? "" : `; ${bytes(each.done)} of ${bytes(each.total)}`;
    setText(readout, `${clock(each.fromMs, nowMs)} to ${clock(each.toMs, nowMs)} ${zoneName(each.fromMs)}: ${rate(rates[index])}, ${bytes(each.bytes)} in ${duration((each.toMs - each.fromMs) / 1000)}${total}`);
    readout.title = exact(each.fromMs);
  };
  const nearest = (px) => {
    let best = 0;
    points.forEach((each, index) => { if (Math.abs((x(each.fromMs) + x(each.toMs)) / 2 - px) < Math.abs((x(points[best].fromMs) + x(points[best].toMs)) / 2 - px)) best = index; });
    return best;
  };
  if (points.length === 0) return;
  picture.addEventListener("pointermove", (event) => show(nearest(event.clientX - picture.getBoundingClientRect().left)));
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show(place < 0 ? points.length - 1 : Math.min(Math.max(place + step, 0), points.length - 1));
  });
  if (place >= 0) show(place);
}
