// Holds a drawing back while a pointer is down on what it replaces: the click would go to neither the old nor the new element.

const LONGEST_MS = 30_000; // the release can be missed
let pressed = null;
let pressedMs = 0;
let waiting = null;

document.addEventListener("pointerdown", ({ target }) => { pressed = target; pressedMs = Date.now(); }, true);
for (const end of ["pointerup", "pointercancel"]) {
  document.addEventListener(end, () => setTimeout(() => { // after the click
    const draw = waiting;
    pressed = waiting = null;
    draw?.();
  }), true);
}

// Calls draw(), which replaces what the element holds: now, or when the pointer that is down on it is released. Of several
// drawings only the last one is made.
export function drawWhenReleased(element, draw) {
  if (pressed !== null && element.contains(pressed) && Date.now() - pressedMs < LONGEST_MS) waiting = draw;
  else draw();
}
