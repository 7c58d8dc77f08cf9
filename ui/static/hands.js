// Hands on an image: what pointers and the wheel mean. One pointer drags, two pinch, a third rests.

const place = (event) => [event.clientX, event.clientY];

/** Returns the middle between two places, and how far they are apart. */
function between([[ax, ay], [bx, by]]) {
  return [[(ax + bx) / 2, (ay + by) / 2], Math.hypot(ax - bx, ay - by) || 1];
}

/**
 * Tells `on` of drags and pinches over an element:
 * takes(event): whether a pointer that goes down counts; press, drag(event, dx, dy), lift: of one pointer;
 * cancel(): the drag was none after all; pinch(factor, from, to): between two middles on the page.
 */
export function watchHands(element, on) {
  const down = new Map();
  let dragging = false;
  const cancel = () => {
    if (dragging) on.cancel();
    dragging = false;
  };
  element.addEventListener("pointerdown", (event) => {
    if (!on.takes(event)) return;
    element.setPointerCapture(event.pointerId);
    down.set(event.pointerId, place(event));
    if (down.size > 1) {
      cancel(); // it was the first finger of a pinch
      return;
    }
    dragging = true;
    on.press(event);
  });
  element.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const apart = down.size === 2 ? between([...down.values()]) : null;
    down.set(event.pointerId, place(event));
    if (dragging) on.drag(event, event.clientX - before[0], event.clientY - before[1]);
    else if (apart) {
      const [[from, near], [to, far]] = [apart, between([...down.values()])];
      on.pinch(far / near, from, to);
    }
    // The finger that is left of a pinch does nothing: it is about to be lifted, too.
  });
  element.addEventListener("pointerup", (event) => {
    if (!down.delete(event.pointerId) || !dragging) return;
    dragging = false;
    on.lift(event);
  });
  element.addEventListener("pointercancel", (event) => {
    if (down.delete(event.pointerId)) cancel();
  });
}

/** Calls `turned(event, step)` for a wheel that turns down (1) or up (-1); one that tilts does nothing. */
export function watchWheel(element, turned) {
  const turn = (event) => {
    event.preventDefault();
    if (Math.abs(event.deltaY) > Math.abs(event.deltaX)) turned(event, Math.sign(event.deltaY));
  };
  element.addEventListener("wheel", turn, { passive: false });
}
