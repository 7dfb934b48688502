// Numbers, durations and times as text. It does not use the document.

const BYTES = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

export function bytes(count) {
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < BYTES.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toPrecision(3)} ${BYTES[unit]}`;
}

export function rate(bps) {
  return bps === null ? "–" : `${bytes(bps)}/s`;
}

// A duration in its two largest units: 5 min 12 s.
export function duration(seconds) {
  let left = Math.max(0, Math.round(seconds));
  if (left === 0) return "0 s";
  const parts = [];
  for (const [size, unit] of UNITS) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0 || parts.length > 0) parts.push([count, unit]);
  }
  return parts.slice(0, 2).filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`).join(" ");
}

const ZONE_KEY = "taskstream-zone";
let zone = localStorage.getItem(ZONE_KEY) === "UTC" ? "UTC" : undefined; // undefined: that of the browser

// Shows times in UTC or in the zone of the browser from now on.
export function switchZone() {
  zone = zone === "UTC" ? undefined : "UTC";
  localStorage.setItem(ZONE_KEY, zone ?? "local");
}

// The zone of the times that are shown at this moment: UTC, or Europe/Paris (GMT+1).
export function zoneName(ms) {
  if (zone === "UTC") return "UTC";
  const parts = new Intl.DateTimeFormat("en", { timeZoneName: "shortOffset" }).formatToParts(new Date(ms));
  const offset = parts.find((each) => each.type === "timeZoneName").value;
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return name === offset ? name : `${name} (${offset})`;
}

// The time of day, with the date unless it is today.
export function moment(ms, nowMs) {
  return dateTime(ms, nowMs, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

// The same with seconds.
export function clock(ms, nowMs) {
  return dateTime(ms, nowMs, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
}

// The next time after now at which it is HH:MM in the zone that is shown, in milliseconds since 1970.
export function nextTimeOfDay(text, nowMs) {
  const [hours, minutes] = text.split(":").map(Number);
  const then = new Date(nowMs);
  const utc = zone === "UTC" ? "UTC" : "";
  then[`set${utc}Hours`](hours, minutes, 0, 0);
  if (then.getTime() <= nowMs) then[`set${utc}Date`](then[`get${utc}Date`]() + 1);
  return then.getTime();
}

// A time with date, seconds and offset, as a machine reads it.
export function exact(ms) {
  const then = new Date(ms);
  if (zone === "UTC") return `${then.toISOString().slice(0, 19)}Z`;
  const minutes = -then.getTimezoneOffset();
  const two = (number) => String(Math.floor(Math.abs(number))).padStart(2, "0");
  return `${new Date(ms + minutes * 60000).toISOString().slice(0, 19)}${minutes < 0 ? "-" : "+"}${two(minutes / 60)}:${two(minutes % 60)}`;
}

function dateTime(ms, nowMs, parts) {
  const then = new Date(ms);
  const time = then.toLocaleTimeString([], { ...parts, timeZone: zone });
  const day = (date) => date.toLocaleDateString("en", { timeZone: zone });
  if (day(then) === day(new Date(nowMs))) return time;
  return `${then.toLocaleDateString([], { month: "short", day: "numeric", timeZone: zone })} ${time}`;
}

export function count(number) {
  return number.toLocaleString("en");
}

export function percent(number) {
  return `${number > 0 ? "+" : number < 0 ? "−" : ""}${Math.abs(Math.round(number))} %`;
}

// The bytes of the current subtask; of a complete task, those of all its subtasks.
export function sizes(task) {
  if (task.health !== "COMPLETE") return { done: task.replicatesize, total: task.totalsize };
  return { done: task.task_replicatesize, total: task.task_totalsize };
}

export function ends(task, nowMs) {
  if (task.health === "COMPLETE") return { text: `took ${duration((task.health_since_ms - task.task_first_seen_ms) / 1000)}`, between: "" };
  if (task.ends_at_ms === null) return { text: task.eta_reason_text ?? "–", between: "" };
  const left = (task.ends_at_ms - nowMs) / 1000;
  const text = left > 0 ? `in ${duration(left)}` : "due now";
  const between = task.ends_from_ms === null ? "" : `${moment(task.ends_from_ms, nowMs)} – ${moment(task.ends_to_ms, nowMs)}`;
  return { text, between };
}

export function wholeEnd(task, nowMs) {
  if (task.task_ends_at_ms === null) return "–";
  const left = duration(Math.max(0, (task.task_ends_at_ms - nowMs) / 1000));
  const between = `${moment(task.task_ends_from_ms, nowMs)} – ${moment(task.task_ends_to_ms, nowMs)}`;
  return `in ${left}, 80 % between ${between}, by ${task.task_ends_basis}`;
}

export function subtaskWords(name) {
  return name.toLowerCase().replaceAll("_", " ");
}
