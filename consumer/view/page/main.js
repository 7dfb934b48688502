// Connects the parts of the page: the URL says what is shown, the stream keeps it up to date.

import { HttpError, Stream, fetchJson, readToken, sendJson, shareToken, signOutTabs, storeToken, takeCode } from "./api.js";
import { setText } from "./draw.js";
import { duration, switchZone, zoneName } from "./format.js";
import { List } from "./list.js";
import { ReportPage } from "./report.js";
import { TaskPage } from "./task.js";
import { Turns } from "./turns.js";

const REFRESH_MS = 4000;
const by = (id) => document.getElementById(id);
const list = new List(fetchJson, navigate, (filters) => follow(filters));
const page = new TaskPage(fetchJson, sendJson);
const report = new ReportPage(fetchJson, navigate);
const stream = new Stream({
  event(name, data) {
    if (shown === page) {
      if (name === "reset" || data.task_id === page.taskId) refreshSoon(1000);
    } else if (name === "reset") refreshSoon(0);
    else if (shown === list) list.applyEvent(name, data);
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
const turns = new Turns((mine) => {
  if (mine) stream.open(followed);
  else stream.close();
  refreshSoon(0);
});
let shown = null;
let followed = {};
let wasLost = false;
let timer = 0;

// The stream is to have the changes of the tasks that these filters select, whenever this page may hold one.
function follow(filters) {
  followed = filters;
  if (turns.mine) stream.open(filters);
  takeTurns();
}

// A report holds no stream, and neither does a hidden page: the pages of a browser share few connections.
function takeTurns() {
  if (shown && shown !== report && !document.hidden) {
    turns.want();
  } else {
    turns.leave();
    stream.close();
  }
}

function isPolled() {
  return shown === report || turns.mine === false;
}

// A page without a stream is as current as its latest answer.
function showPolled(error) {
  if (document.hidden || !isPolled()) return;
  wasLost = error !== null;
  if (wasLost) showConnection("lost", `connection lost, next attempt in ${duration(REFRESH_MS / 1000)}`);
  else showConnection("live", `live, every ${duration(REFRESH_MS / 1000)}`);
}

function navigate(parameters) {
  const query = new URLSearchParams(parameters).toString();
  history.pushState(null, "", query ? `./?${query}` : "./");
  route();
}

function route() {
  const address = new URLSearchParams(location.search);
  const taskId = address.get("task");
  shown = address.get("page") === "report" ? report : taskId ? page : list;
  by("sign-in").hidden = true;
  by("list").hidden = shown !== list;
  by("task").hidden = shown !== page;
  by("report").hidden = shown !== report;
  document.title = shown === report ? "Report · taskstream" : taskId ? `${taskId} · taskstream` : "taskstream";
  if (shown === report) takeTurns();
  else if (taskId) follow({ q: taskId, project: address.get("project") });
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
    const pipeline = await promise;
    by("problem").hidden = true;
    if (isPolled() && pipeline) showPipeline(pipeline.text);
    showPolled(null);
  } catch (error) {
    showPolled(error);
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
  takeTurns();
  clearTimeout(timer);
  storeToken(null);
  showConnection("out", "not signed in");
  showPipeline(null);
  for (const id of ["list", "task", "report", "problem", "sign-out"]) by(id).hidden = true;
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
  signedIn(by("token").value.trim());
  by("token").value = "";
});

function signedIn(token) {
  storeToken(token);
  by("sign-out").hidden = false;
  route();
}

// Says in which zone all times are.
function showZone() {
  setText(by("zone"), `times: ${zoneName(Date.now())}`);
}

by("zone").addEventListener("click", () => {
  switchZone();
  showZone();
  page.redraw();
  if (shown) refreshSoon(0);
});
showZone();
by("sign-out").addEventListener("click", () => {
  signOutTabs();
  signIn("");
});
by("reconnect").addEventListener("click", () => {
  if (turns.mine) stream.connectNow();
  else refreshSoon(0);
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='./']");
  if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  route();
  scrollTo(0, 0);
});
document.addEventListener("visibilitychange", () => {
  takeTurns();
  if (!document.hidden && shown) refreshSoon(0);
});
addEventListener("popstate", route);

if (readToken()) {
  by("sign-out").hidden = false;
  route();
} else {
  signIn("");
}
takeCode().then((token) => { if (token) signedIn(token); }, (error) => { if (!readToken()) signIn(error.message); });
shareToken({ token: signedIn, signedOut: () => signIn("") });
