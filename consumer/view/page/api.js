// Speaks to the view: one answer, or the stream of changes for as long as it can be had. It draws nothing.

const KEPT = "taskstream-token";
const QUIET_MS = 7000; // the view says something every two seconds
const LONGEST_WAIT_MS = 10000;

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// A token may come in the address behind the #, which browsers never send; it does not stay there.
export function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(KEPT, given);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(KEPT);
}

export function keepToken(token) {
  if (token) sessionStorage.setItem(KEPT, token);
  else sessionStorage.removeItem(KEPT);
}

export async function ask(path, parameters = {}) {
  const answer = await request(path, parameters, {});
  return { document: await answer.json(), lagS: Number(answer.headers.get("x-view-lag") ?? 0) };
}

async function request(path, parameters, options) {
  const given = Object.entries(parameters).filter(([, value]) => value);
  const query = new URLSearchParams(given).toString();
  const headers = { "X-Auth-Token": sessionStorage.getItem(KEPT) ?? "", ...options.headers };
  const answer = await fetch(query ? `${path}?${query}` : path, { ...options, headers, cache: "no-store" });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Refused(answer.status, told.error_msg ?? `the view answered ${answer.status}`);
  }
  return answer;
}

// Follows /stream and comes back after every loss. `on` is told of: event(name, data), live(), lost(seconds), refused(error).
export class Stream {
  constructor(on) {
    this.on = on;
    this.parameters = {};
    this.turn = 0;
    this.lastId = null;
  }

  open(parameters) {
    this.close();
    this.parameters = parameters;
    this.lastId = null;
    this.failures = 0;
    this.run(this.turn);
  }

  close() {
    this.turn += 1;
    this.abort?.abort();
    clearTimeout(this.timer);
  }

  connectNow() {
    clearTimeout(this.timer);
    this.turn += 1;
    this.abort?.abort();
    this.run(this.turn);
  }

  async run(turn) {
    try {
      await this.read(turn);
    } catch (error) {
      if (turn === this.turn && error instanceof Refused && error.status < 500 && error.status !== 429) {
        this.on.refused(error);
        return;
      }
    }
    if (turn !== this.turn) return;
    this.failures += 1;
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** Math.min(this.failures, 6)) * (0.5 + Math.random() / 2);
    this.on.lost(wait / 1000);
    this.timer = setTimeout(() => this.run(turn), wait);
  }

  async read(turn) {
    this.abort = new AbortController();
    const headers = this.lastId ? { "Last-Event-ID": this.lastId } : {};
    const quiet = () => { clearTimeout(this.watch); this.watch = setTimeout(() => this.abort.abort(), QUIET_MS); };
    quiet();
    const answer = await request("/stream", this.parameters, { signal: this.abort.signal, headers });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let kept = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || turn !== this.turn) break;
      quiet();
      const blocks = (kept + value).split("\n\n");
      kept = blocks.pop();
      for (const block of blocks) this.take(block);
    }
    clearTimeout(this.watch);
  }

  take(block) {
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
