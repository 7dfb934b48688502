// What an operator notes about a task: the words of a note, and the form that makes one. All strings go in as text.

import { make } from "./draw.js";
import { exact, moment } from "./format.js";

const WORDS = { MUTED: "muted", ACKNOWLEDGED: "acknowledged" };
const HOUR_MS = 3600000;
const SPANS = [[1, "1 hour"], [4, "4 hours"], [8, "8 hours"], [24, "1 day"], [72, "3 days"], [168, "7 days"]];

export function noteText(note, nowMs) {
  return `${WORDS[note.kind] ?? note.kind.toLowerCase()} until ${moment(note.until_ms, nowMs)}: ${note.note}`;
}

export function noteLine(note, nowMs) {
  return make("p", { class: "note" }, make("b", {}, `${WORDS[note.kind] ?? note.kind.toLowerCase()} `),
    make("span", { class: "number", title: exact(note.until_ms) }, `until ${moment(note.until_ms, nowMs)} by `),
    make("bdi", {}, note.by), ": ", make("bdi", {}, note.note));
}

// send(method, body) makes or withdraws the note. problem: why that was refused, or "".
export function noteForm(task, nowMs, problem, send) {
  const words = make("input", { id: "note-words", required: true, maxlength: 500, autocomplete: "off", placeholder: "known, network team" });
  const who = make("input", { id: "note-by", maxlength: 100, autocomplete: "name", placeholder: "you" });
  const span = make("select", { id: "note-hours" }, ...SPANS.map(([hours, text]) => make("option", { value: hours }, text)));
  const act = (method, kind) => {
    const body = kind === null ? null : { kind, note: words.value.trim(), by: who.value.trim(), until_ms: nowMs + Number(span.value) * HOUR_MS };
    send(method, body);
  };
  const form = make("form", {},
    make("label", {}, "Why ", words), make("label", {}, "For ", span), make("label", {}, "By ", who),
    make("button", { type: "submit", id: "note-ack", value: "ACKNOWLEDGED" }, "Acknowledge"),
    make("button", { type: "submit", id: "note-mute", value: "MUTED" }, "Mute"),
    make("p", { class: "bad", role: "alert" }, problem));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act("PUT", event.submitter?.value ?? "ACKNOWLEDGED");
  });
  const withdraw = make("button", { type: "button", id: "note-withdraw", class: "quiet" }, "Withdraw the note");
  withdraw.addEventListener("click", () => act("DELETE", null));
  return make("div", { class: "noting-line" },
    make("details", { class: "noting", "data-name": "noting" }, make("summary", {}, task.note === null ? "Acknowledge or mute" : "Change the note"), form),
    task.note === null ? null : withdraw);
}
