// Whether somebody reads the rows of the list: points at them, or moves through them with the keyboard.

const POINTER_MS = 20_000; // a pointer that rests for longer is nobody's
const FOCUS_MS = 120_000;

export class Reader {
  // left() is called when somebody who read these rows leaves them.
  constructor(rows, left) {
    this.untilMs = 0;
    let place = null;
    rows.addEventListener("pointermove", (event) => {
      const now = `${event.clientX} ${event.clientY}`; // a layout under a pointer at rest sends events too
      if (place !== null && place !== now && event.pointerType === "mouse") this.read(POINTER_MS);
      place = now;
    });
    const leave = () => { this.leave(); left(); };
    rows.addEventListener("pointerleave", () => { if (!rows.contains(document.activeElement)) leave(); });
    rows.addEventListener("focusin", () => this.read(FOCUS_MS));
    rows.addEventListener("keydown", () => this.read(FOCUS_MS));
    rows.addEventListener("focusout", (event) => { if (!rows.contains(event.relatedTarget)) leave(); });
  }

  isReading() {
    return Date.now() < this.untilMs;
  }

  read(forMs) {
    this.untilMs = Math.max(this.untilMs, Date.now() + forMs);
  }

  leave() {
    this.untilMs = 0;
  }
}
