// Puts the page together: the address says what is shown, the stream keeps it true.

import { Refused, Stream, ask, keepToken, takeToken } from "./api.js";
import { say } from "./draw.js";
import { span } from "./format.js";
import { List } from "./list.js";
import { TaskPage } from "./task.js";

const REFRESH_MS = 4000;
const by = (id) => document.getElementById(id);
const list = new List(ask, go, (wanted) => stream.open(wanted));
const page = new TaskPage(ask);
const stream = new Stream({
  event(name, data) {
    if (shown === page) {
      if (name === "reset" || data.task_id === page.taskId) refreshSoon(1000);
    } else if (name === "reset") refreshSoon(0);
    else list.take(name, data);
  },
  live(beat) {
    const behind = beat.lag_s > 2;
    connection(behind ? "behind" : "live", behind ? `live, ${span(beat.lag_s)} behind Kafka` : "live");
    if (wasLost) refreshSoon(0);
    wasLost = false;
  },
  lost(seconds) {
    wasLost = true;
    connection("lost", `connection lost, next try in ${span(Math.max(1, seconds))}`);
  },
  refused,
});
let shown = null;
let wasLost = false;
let timer = 0;

function go(parameters) {
  const query = new URLSearchParams(parameters).toString();
  history.pushState(null, "", query ? `/?${query}` : "/");
  route();
}

function route() {
  const address = new URLSearchParams(location.search);
  const one = address.get("task");
  shown = one ? page : list;
  by("sign-in").hidden = true;
  by("list").hidden = shown !== list;
  by("task").hidden = shown !== page;
  document.title = one ? `${one} · taskstream` : "taskstream";
  if (one) stream.open({ q: one, project: address.get("project") });
  guard(shown.show(address));
  refreshSoon(REFRESH_MS);
}

function refreshSoon(afterMs) {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    if (shown && !document.hidden) await guard(shown.refresh());
    if (shown) refreshSoon(REFRESH_MS);
  }, afterMs);
}

async function guard(promise) {
  try {
    await promise;
    by("problem").hidden = true;
  } catch (error) {
    if (error instanceof Refused) refused(error);
    else if (!(error instanceof TypeError)) throw error; // a TypeError of fetch: the stream tells of the loss
  }
}

function refused(error) {
  if (error.status === 401 || error.status === 403) {
    signIn(error.message);
    return;
  }
  say(by("problem"), error.message);
  by("problem").hidden = false;
}

function signIn(problem) {
  shown = null;
  stream.close();
  clearTimeout(timer);
  keepToken(null);
  connection("out", "not signed in");
  for (const id of ["list", "task", "problem", "sign-out"]) by(id).hidden = true;
  by("sign-in").hidden = false;
  say(by("sign-in-problem"), problem);
  by("token").focus();
}

function connection(state, words) {
  by("live").dataset.state = state;
  say(by("live-text"), words);
  by("reconnect").hidden = state !== "lost";
}

by("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  keepToken(by("token").value.trim());
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

if (takeToken()) {
  by("sign-out").hidden = false;
  route();
} else {
  signIn("");
}
