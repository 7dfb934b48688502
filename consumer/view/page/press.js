// What must not be drawn anew now. While a pointer is down on it, the click would go to neither the old nor the new element;
// a selection in it would be dropped.

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

// Whether the user has selected text of the element.
export function isSelecting(element) {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && element.contains(selection.anchorNode);
}
