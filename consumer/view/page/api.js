// The HTTP client of the view: single requests, and the stream of changes with reconnects. It draws nothing. All paths are
// relative to the page, which may be served below a prefix by a proxy.

const TOKEN_KEY = "taskstream-token";
const IDLE_TIMEOUT_MS = 7000; // the view sends a beat every two seconds
const MAX_WAIT_MS = 10000;
const ANSWER_LIMIT_MS = 30000; // a request that is never answered would hold all later ones back

// The status is that of the view's answer; 0: there was none in time.
export class HttpError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// The token, also from the fragment of the URL, which browsers never send. The fragment is then removed.
export function readToken() {
  const fromUrl = new URLSearchParams(location.hash.slice(1)).get("token");
  if (fromUrl) {
    sessionStorage.setItem(TOKEN_KEY, fromUrl);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(TOKEN_KEY);
}

// The token that the code of a one-time link gives, once; null: the page was opened without a code.
export async function takeCode() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (!code) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return (await answerOf("sign-in", {}, { method: "POST", body: code })).token;
}

export function storeToken(token) {
  if (token) sessionStorage.setItem(TOKEN_KEY, token);
  else sessionStorage.removeItem(TOKEN_KEY);
}

// The tabs of one browser share the token while one of them is open: a new one asks, and those that have it answer. Calls
// on.token(token) when this tab has none and another one has, on.signedOut() when another one signs out.
const tabs = new BroadcastChannel(`taskstream ${new URL("./", location).pathname}`);

export function shareToken(on) {
  tabs.addEventListener("message", ({ data }) => {
    const token = sessionStorage.getItem(TOKEN_KEY);
    if (data.asks && token) tabs.postMessage({ token });
    else if (data.token && !token) on.token(data.token);
    else if (data.signedOut) on.signedOut();
  });
  if (!sessionStorage.getItem(TOKEN_KEY)) tabs.postMessage({ asks: true });
}

export function signOutTabs() {
  tabs.postMessage({ signedOut: true });
}

export async function fetchJson(path, parameters = {}) {
  return answerOf(path, parameters, {});
}

// Sends a JSON body, or none, with this method.
export async function sendJson(method, path, parameters, body) {
  const options = { method, headers: { "Content-Type": "application/json" }, body: body === null ? undefined : JSON.stringify(body) };
  return answerOf(path, parameters, options);
}

// The JSON answer, within the limit of time.
async function answerOf(path, parameters, options) {
  const limit = new AbortController();
  const late = new HttpError(0, `the view has not answered for ${ANSWER_LIMIT_MS / 1000} s; what is shown is older`);
  const timer = setTimeout(() => limit.abort(late), ANSWER_LIMIT_MS);
  try {
    const response = await request(path, parameters, { ...options, signal: limit.signal });
    return await response.json();
  } finally {
    clearTimeout(timer);
  }
}

async function request(path, parameters, options) {
  const present = Object.entries(parameters).filter(([, value]) => value);
  const query = new URLSearchParams(present).toString();
  const headers = { "X-Auth-Token": sessionStorage.getItem(TOKEN_KEY) ?? "", ...options.headers };
  const response = await fetch(query ? `${path}?${query}` : path, { ...options, headers, cache: "no-store" });
  if (!response.ok) {
    const error = await response.json().catch(() => ({}));
    throw new HttpError(response.status, error.error_msg ?? `the view responded with status ${response.status}`);
  }
  return response;
}

// Reads /stream and reconnects after every loss. It calls on.event(name, data), on.live(beat), on.lost(seconds until
// the next attempt) and on.refused(error).
export class Stream {
  constructor(on) {
    this.on = on;
    this.parameters = {};
    this.connection = 0;
    this.lastId = null;
  }

  open(parameters) {
    this.close();
    this.parameters = parameters;
    this.lastId = null;
    this.failures = 0;
    this.run(this.connection);
  }

  close() {
    this.connection += 1;
    this.abort?.abort();
    clearTimeout(this.timer);
  }

  connectNow() {
    clearTimeout(this.timer);
    this.connection += 1;
    this.abort?.abort();
    this.run(this.connection);
  }

  async run(connection) {
    try {
      await this.read(connection);
    } catch (error) {
      if (connection === this.connection && error instanceof HttpError && error.status < 500 && error.status !== 429) {
        this.on.refused(error);
        return;
      }
    }
    if (connection !== this.connection) return;
    this.failures += 1;
    const wait = Math.min(MAX_WAIT_MS, 500 * 2 ** Math.min(this.failures, 6)) * (0.5 + Math.random() / 2);
    this.on.lost(wait / 1000);
    this.timer = setTimeout(() => this.run(connection), wait);
  }

  async read(connection) {
    this.abort = new AbortController();
    const headers = this.lastId ? { "Last-Event-ID": this.lastId } : {};
    const restartIdleTimer = () => { clearTimeout(this.idleTimer); this.idleTimer = setTimeout(() => this.abort.abort(), IDLE_TIMEOUT_MS); };
    restartIdleTimer();
    const response = await request("stream", this.parameters, { signal: this.abort.signal, headers });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || connection !== this.connection) break;
      restartIdleTimer();
      const blocks = (rest + value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) this.dispatch(block);
    }
    clearTimeout(this.idleTimer);
  }

  // Passes one block of the event stream on. A beat shows that the connection works.
  dispatch(block) {
    let name = "message";
    let data = null;
    for (const line of block.split("\n")) {
      if (line.startsWith("event: ")) name = line.slice(7);
      else if (line.startsWith("data: ")) data = line.slice(6);
      else if (line.startsWith("id: ")) this.lastId = line.slice(4);
    }
    if (data === null) return;
    if (name === "beat") {
      this.failures = 0;
      this.on.live(JSON.parse(data));
    } else {
      this.on.event(name, JSON.parse(data));
    }
  }
}
