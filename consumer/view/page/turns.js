// Which of the visible pages of one browser may hold a stream. A browser opens six connections to a server, and streams
// that hold all of them leave none for requests. The pages agree over a BroadcastChannel; it works without TLS too.

const CHANNEL = "taskstream-streams";
const MOST_STREAMS = 3;
const SAY_MS = 2000;
const FORGET_MS = 7000; // a page that was closed without a word, or whose timers the browser slows down
const FIRST_ANSWERS_MS = 300;

export class Turns {
  // `onTurn(mine)` is called when this page may hold a stream, and when it may no longer.
  constructor(onTurn) {
    this.onTurn = onTurn;
    this.id = `${Date.now().toString(36).padStart(9, "0")}-${Math.random().toString(36).slice(2)}`; // older pages sort first
    this.others = new Map(); // by id: when it was last heard
    this.mine = null;
    this.wanted = false;
    this.channel = new BroadcastChannel(CHANNEL);
    this.channel.onmessage = (event) => this.hear(event.data);
    setInterval(() => this.say("here"), SAY_MS);
  }

  // This page wants a stream: it is visible and signed in.
  want() {
    if (this.wanted) return;
    this.wanted = true;
    this.mine = null;
    this.say("hello");
    setTimeout(() => this.decide(), FIRST_ANSWERS_MS);
  }

  // This page wants none any more.
  leave() {
    if (!this.wanted) return;
    this.wanted = false;
    this.mine = null;
    this.channel.postMessage({ word: "gone", id: this.id });
  }

  say(word) {
    if (!this.wanted) return;
    this.channel.postMessage({ word, id: this.id });
    if (word === "here") this.decide();
  }

  hear({ word, id }) {
    if (word === "gone") this.others.delete(id);
    else this.others.set(id, Date.now());
    if (word === "hello" && this.wanted) this.channel.postMessage({ word: "here", id: this.id });
    if (this.mine !== null) this.decide();
  }

  decide() {
    if (!this.wanted) return;
    const oldest = Date.now() - FORGET_MS;
    for (const [id, heardMs] of this.others) if (heardMs < oldest) this.others.delete(id);
    const mine = [...this.others.keys()].filter((id) => id < this.id).length < MOST_STREAMS;
    if (mine === this.mine) return;
    this.mine = mine;
    this.onTurn(mine);
  }
}
