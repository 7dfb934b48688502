// Connects the parts of the page: the URL says what is shown, the stream keeps it up to date.

import { HttpError, Stream, fetchJson, readToken, sendJson, shareToken, signOutTabs, storeToken, takeCode } from "./api.js";
import { setText } from "./draw.js";
import { clock, duration, switchZone, zoneName } from "./format.js";
import { listenToKeys } from "./keys.js";
import { List } from "./list.js";
import { ReportPage } from "./report.js";
import { endSession, readSession, signInWithProvider } from "./session.js";
import { TaskPage } from "./task.js";
import { Turns } from "./turns.js";

const REFRESH_MS = 4000;
const HIDDEN_REFRESH_MS = 60000;
const by = (id) => document.getElementById(id);
const list = new List(fetchJson, navigate, (filters) => follow(filters), showNeeded);
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
let session = null; // of somebody who signed in with the provider
let followed = {};
let wasLost = false;
let timer = 0;
let currentMs = 0; // when the page was last known to be current: after an answer, or a beat of the stream

// The stream is to have the changes of the tasks that these filters select, whenever this page may hold one.
function follow(filters) {
  const isSame = JSON.stringify(filters) === JSON.stringify(followed);
  followed = filters;
  if (turns.mine && !isSame) stream.open(filters);
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

// Goes to the list with these parameters; those without a value are left out. `state` outlives a reload.
function navigate(parameters, state = null) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value)).toString();
  history.pushState(state, "", query ? `./?${query}` : "./");
  route();
}

function route() {
  const address = new URLSearchParams(location.search);
  const taskId = address.get("task");
  const wasList = shown === list;
  shown = address.get("page") === "report" ? report : taskId ? page : list;
  by("sign-in").hidden = true;
  by("list").hidden = shown !== list;
  by("task").hidden = shown !== page;
  by("report").hidden = shown !== report;
  if (shown === report) document.title = "Report · taskstream";
  else if (taskId) document.title = `${taskId} · taskstream`;
  else if (!wasList) document.title = "taskstream"; // until the number of those that need somebody comes
  if (shown === report) takeTurns();
  else if (taskId) follow({ q: taskId, project: address.get("project") });
  showErrorsOf(shown.show(address));
  refreshSoon(REFRESH_MS);
}

// A hidden page refreshes only the number in its title, once a minute.
function refreshSoon(afterMs) {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    if (shown && !document.hidden) await showErrorsOf(shown.refresh());
    else if (shown === list) await list.refreshNeeded().catch(() => {}); // what failed is shown when the page is visible
    if (shown) refreshSoon(document.hidden ? HIDDEN_REFRESH_MS : REFRESH_MS);
  }, afterMs);
}

async function showErrorsOf(promise) {
  try {
    const pipeline = await promise;
    currentMs = Date.now();
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
    signIn(session && error.status === 401 ? "The session has ended: sign in again." : error.message);
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
  session = null;
  by("sign-in").hidden = false;
  setText(by("sign-in-problem"), problem);
  by("token").focus();
  readSession().then(showProvider, () => {}); // without an answer there is no button, and tokens do without
}

function showProvider({ provider }) {
  by("provider").hidden = provider === null;
  if (provider) setText(by("provider"), `Sign in with ${provider.name}`);
}

// One sentence while the workers are behind the reports, or while that is unknown.
function showPipeline(text) {
  setText(by("pipeline"), text ?? "");
  by("pipeline").hidden = text === null;
}

// The title of the list has the number of tasks that need somebody.
function showNeeded(tasks) {
  if (shown === list) document.title = tasks > 0 ? `(${tasks}) taskstream` : "taskstream";
}

// What is shown while the connection is lost is grey, and the page says as of when it is.
function showConnection(state, text) {
  if (state === "live" || state === "behind") currentMs = Date.now();
  const isStale = state === "lost";
  document.body.toggleAttribute("data-stale", isStale);
  if (isStale && currentMs > 0) text = `as of ${clock(currentMs, Date.now())}; ${text}`;
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
  showSignOut("Forget token");
  route();
}

function showSignOut(text) {
  setText(by("sign-out"), text);
  by("sign-out").hidden = false;
}

// Shows the tasks to somebody whom the provider has signed in, else asks who it is.
async function resume() {
  const found = await readSession().catch(() => null);
  if (readToken()) return; // another tab has given its token meanwhile
  if (found === null || found.session === null) {
    signIn("");
    return;
  }
  session = found.session;
  showSignOut(session.name ? `Sign out ${session.name}` : "Sign out");
  route();
}

async function signOut() {
  let problem = "";
  if (session) await endSession().catch((error) => { problem = `still signed in: ${error.message}`; });
  signOutTabs();
  signIn(problem);
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
listenToKeys();
by("sign-out").addEventListener("click", signOut);
by("provider").addEventListener("click", signInWithProvider);
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

let resumed = Promise.resolve();
if (readToken()) {
  showSignOut("Forget token");
  route();
} else {
  resumed = resume();
}
takeCode().then((token) => { if (token) signedIn(token); }, (error) => resumed.then(() => { if (!readToken() && !session) signIn(error.message); }));
shareToken({ token: signedIn, signedOut: () => { if (shown) signIn(""); } });
