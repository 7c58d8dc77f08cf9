// Plays the slices or frames of a pane, round and round.

import { trying } from "./server.js";

const FRAMES_PER_SECOND = 12;

export class Player {
  /** `button` starts and stops it, and says which. */
  constructor(button) {
    this.button = button;
    this.timer = null;
  }

  toggle(pane) {
    if (this.timer !== null) {
      this.stop();
      return;
    }
    if (!pane.series || pane.series.images.length < 2) throw new Error("There is one image only: nothing to play.");
    this.button.textContent = "❚❚ Pause";
    const next = async () => {
      const began = performance.now();
      const mine = this.timer;
      await pane.go((pane.index + 1) % pane.series.images.length);
      if (this.timer !== mine || mine === null) return;
      const rest = 1000 / FRAMES_PER_SECOND - (performance.now() - began);
      this.timer = setTimeout(step, Math.max(0, rest));
    };
    const step = trying(next);
    this.timer = setTimeout(step, 0);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = null;
    this.button.textContent = "▶ Play";
  }
}
