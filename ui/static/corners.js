// What is written in the corners of a pane: which image it is, how it is shown, which slice.

import { make } from "./server.js";

export class Corners {
  constructor() {
    this.title = make("div", { class: "corner title" });
    this.facts = make("div", { class: "corner facts" });
    this.place = make("div", { class: "corner place" });
  }

  tell(pane) {
    const { series, element } = pane;
    const count = series?.images.length ?? 0;
    this.place.textContent = count > 1 ? `${pane.index + 1} / ${count}` : "";
    this.facts.textContent = pane.isReady ? factsOf(pane) : "";
    this.title.textContent = titleOf(pane);
    const slice = count > 1 ? `, slice ${pane.index + 1} of ${count}` : "";
    element.setAttribute("aria-label", series ? `${this.title.textContent}${slice}` : "No image");
  }
}

function titleOf({ series, number, isReady, failed }) {
  if (!series) return number ? "" : "Open images, or choose an example at the left";
  if (isReady) return series.title;
  return failed ? `${series.title} could not be opened` : `Opening ${series.title}…`;
}

function factsOf({ loaded: { plane }, window, zoom }) {
  const [centre, width] = window ?? plane.window;
  const unit = plane.unit ? ` ${plane.unit}` : "";
  const fraction = Math.round(plane.full_columns / plane.columns);
  const facts = [`C ${Math.round(centre)} W ${Math.round(width)}${unit}`, `${Math.round(100 * zoom)} %`];
  if (fraction > 1) facts.push(`resolution 1:${fraction}`);
  return facts.join(" · ");
}
