// Connects the parts of the page: the URL says what is shown, the stream keeps it up to date.

import { HttpError, Stream, fetchJson, readToken, storeToken } from "./api.js";
import { setText } from "./draw.js";
import { duration } from "./format.js";
import { List } from "./list.js";
import { TaskPage } from "./task.js";

const REFRESH_MS = 4000;
const by = (id) => document.getElementById(id);
const list = new List(fetchJson, navigate, (filters) => stream.open(filters));
const page = new TaskPage(fetchJson);
const stream = new Stream({
  event(name, data) {
    if (shown === page) {
      if (name === "reset" || data.task_id === page.taskId) refreshSoon(1000);
    } else if (name === "reset") refreshSoon(0);
    else list.applyEvent(name, data);
  },
  live(beat) {
    showPipeline(beat.pipeline?.text ?? null);
    const behind = beat.lag_s > 2;
    showConnection(behind ? "behind" : "live", behind ? `live, ${duration(beat.lag_s)} behind Kafka` : "live");
    if (wasLost) refreshSoon(0);
    wasLost = false;
  },
  lost(seconds) {
    showPipeline(null);
    wasLost = true;
    showConnection("lost", `connection lost, next attempt in ${duration(Math.max(1, seconds))}`);
  },
  refused,
});
let shown = null;
let wasLost = false;
let timer = 0;

function navigate(parameters) {
  const query = new URLSearchParams(parameters).toString();
  history.pushState(null, "", query ? `/?${query}` : "/");
  route();
}

function route() {
  const address = new URLSearchParams(location.search);
  const taskId = address.get("task");
  shown = taskId ? page : list;
  by("sign-in").hidden = true;
  by("list").hidden = shown !== list;
  by("task").hidden = shown !== page;
  document.title = taskId ? `${taskId} · taskstream` : "taskstream";
  if (taskId) stream.open({ q: taskId, project: address.get("project") });
  showErrorsOf(shown.show(address));
  refreshSoon(REFRESH_MS);
}

function refreshSoon(afterMs) {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    if (shown && !document.hidden) await showErrorsOf(shown.refresh());
    if (shown) refreshSoon(REFRESH_MS);
  }, afterMs);
}

async function showErrorsOf(promise) {
  try {
    await promise;
    by("problem").hidden = true;
  } catch (error) {
    if (error instanceof HttpError) refused(error);
    else if (!(error instanceof TypeError)) throw error; // a TypeError is a network error of fetch, which the stream shows
  }
}

function refused(error) {
  if (error.status === 401 || error.status === 403) {
    signIn(error.message);
    return;
  }
  setText(by("problem"), error.message);
  by("problem").hidden = false;
}

function signIn(problem) {
  shown = null;
  stream.close();
  clearTimeout(timer);
  storeToken(null);
  showConnection("out", "not signed in");
  showPipeline(null);
  for (const id of ["list", "task", "problem", "sign-out"]) by(id).hidden = true;
  by("sign-in").hidden = false;
  setText(by("sign-in-problem"), problem);
  by("token").focus();
}

// One sentence while the workers are behind the reports, or while that is unknown.
function showPipeline(text) {
  setText(by("pipeline"), text ?? "");
  by("pipeline").hidden = text === null;
}

function showConnection(state, text) {
  by("live").dataset.state = state;
  setText(by("live-text"), text);
  by("reconnect").hidden = state !== "lost";
}

by("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  storeToken(by("token").value.trim());
  by("token").value = "";
  by("sign-out").hidden = false;
  route();
});
by("sign-out").addEventListener("click", () => signIn(""));
by("reconnect").addEventListener("click", () => stream.connectNow());
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='/']");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  route();
  scrollTo(0, 0);
});
document.addEventListener("visibilitychange", () => { if (!document.hidden && shown) refreshSoon(0); });
addEventListener("popstate", route);

if (readToken()) {
  by("sign-out").hidden = false;
  route();
} else {
  signIn("");
}
