// The box of window presets: what may be chosen for a series, and what is in force.

import { here, make } from "./server.js";

const AS_STORED = ["as stored", () => null];
const FULL_RANGE = ["full range", ({ low, high }) => [(low + high + 1) / 2, high - low + 1]];
const CUSTOM = "custom";

export class Presets {
  /** `chosen(number)` is called with the place of a preset in the list. */
  constructor(chosen) {
    this.windows = [];
    this.element = make("select", {
      "aria-label": "Window preset", title: "Window preset (1 to 9)",
      onchange: () => chosen(this.element.selectedIndex),
    });
  }

  /** Lists the presets for what a pane shows. */
  list(pane) {
    const named = here.facts?.presets[pane.series?.modality] ?? {};
    this.windows = [AS_STORED, FULL_RANGE, ...Object.entries(named).map(([name, window]) => [name, () => window])];
    this.element.replaceChildren(
      ...this.windows.map(([name], i) => make("option", { value: i }, `${i + 1} ${name}`)),
      make("option", { value: CUSTOM, hidden: true }, CUSTOM), // shown, never chosen
    );
    this.show(pane);
  }

  /** Returns a preset's window (centre, width) for a plane; null: its own; undefined: no such preset. */
  window(number, plane) {
    return this.windows[number]?.[1](plane);
  }

  /** Shows which preset is in force in a pane. */
  show({ window, loaded }) {
    if (!loaded) return;
    const same = ([, of]) => String(of(loaded.plane) ?? loaded.plane.window) === String(window);
    // An image's own window may be its full range, too: the reader chose the one that says so.
    const chosen = this.windows.findIndex((item) => item !== AS_STORED && same(item));
    const found = window === null || (chosen < 0 && same(AS_STORED)) ? 0 : chosen;
    this.element.value = found < 0 ? CUSTOM : found;
  }
}
