// Drawing on an image: points, a box and strokes ask the segmenter; brush and eraser change the mask.

import { blank, changed, drawMask, extent, fromBase64, fromPng, toBase64 } from "./masks.js";
import { inSession, make, say } from "./server.js";

export const TOOLS = [
  { id: "point", label: "Point", key: "n", hint: "Click what belongs to it" },
  { id: "exclude", label: "Not", key: "x", hint: "Click what does not belong to it" },
  { id: "box", label: "Box", key: "b", hint: "Drag a box around it" },
  { id: "scribble", label: "Scribble", key: "s", hint: "Draw a stroke inside it" },
  { id: "brush", label: "Brush", key: "v", hint: "Add to the mask by hand" },
  { id: "eraser", label: "Eraser", key: "e", hint: "Take from the mask by hand" },
];
const COLOUR = [255, 82, 140];
const BRUSH_PART = 0.018;

export class Drawing {
  /** `pane` is drawn on; `accepted(facts)` is called with new evidence. */
  constructor(accepted) {
    this.accepted = accepted;
    this.tool = null;
    this.name = make("input", {
      class: "name", list: "targets", placeholder: "Its name", maxlength: 60,
      "aria-label": "Name of the outline",
    });
    this.wipe();
  }

  wipe() {
    this.ref = "";
    this.points = [];
    this.box = null;
    this.strokes = [];
    this.mask = null;
    this.corrected = null;
    this.assisted = false;
    this.past = [];
    this.live = null;
    this.asking = 0;
    this.carried = null; // masks by image, once carried through the series
  }

  remember() {
    this.past.push({
      points: [...this.points], box: this.box, strokes: [...this.strokes], mask: this.mask,
      corrected: this.corrected, assisted: this.assisted,
    });
  }

  undo(pane) {
    const before = this.past.pop();
    if (!before) return;
    this.asking++; // an answer on its way is for what is undone
    Object.assign(this, before, { carried: null });
    pane.draw();
  }

  clear(pane) {
    this.asking++;
    this.wipe();
    pane.draw();
    say("");
  }

  /** Takes part in the pane's drawing. */
  draw(context, pane, place) {
    if (this.ref !== pane.ref) {
      const carried = this.carried?.get(pane.ref);
      if (carried) drawMask(context, carried, place);
      return;
    }
    if (this.mask) drawMask(context, this.mask, place);
    if (this.box) pane.outlineBox(context, place, { box: this.box, colour: "#ff9ec4" });
    for (const [x, y, inside] of this.points) {
      pane.dot(context, place, [x + 0.5, y + 0.5], inside ? "#2ecc71" : "#e74c3c");
    }
    context.save();
    context.strokeStyle = "#2ecc71";
    context.lineWidth = 3;
    for (const stroke of [...this.strokes, ...(this.live ? [this.live] : [])]) {
      context.beginPath();
      stroke.forEach((point, i) => context[i ? "lineTo" : "moveTo"](...pane.toScreen(point, place)));
      context.stroke();
    }
    context.restore();
  }

  /** A pointer went down, moved or up at a pixel of the image (null outside it). */
  async drawn(pane, phase, at, event) {
    if (this.ref !== pane.ref) this.wipe();
    this.ref = pane.ref;
    this.carried = null; // it was of the outline before
    const tool = this.tool === "point" && event.altKey ? "exclude" : this.tool;
    if (tool === "point" || tool === "exclude") {
      if (phase !== "down" || !at) return;
      this.remember();
      this.points.push([Math.floor(at[0]), Math.floor(at[1]), tool === "point"]);
      await this.ask(pane);
    } else if (tool === "box") await this.drawBox(pane, phase, at);
    else if (tool === "scribble") await this.drawStroke(pane, phase, at);
    else this.paint(pane, phase, at, tool === "eraser");
  }

  async drawBox(pane, phase, at) {
    if (phase === "down" && at) {
      this.remember();
      this.corner = at;
    }
    if (!this.corner) return;
    if (at) {
      const [x, y] = [[this.corner[0], at[0]], [this.corner[1], at[1]]];
      this.box = [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)].map(Math.floor);
    }
    if (phase === "up") {
      this.corner = null;
      if (this.box && this.box[2] > this.box[0] && this.box[3] > this.box[1]) await this.ask(pane);
      else this.undo(pane);
    } else pane.draw();
  }

  async drawStroke(pane, phase, at) {
    if (phase === "down" && at) this.live = [];
    if (!this.live) return;
    if (at) this.live.push(at.map((value) => Math.round(value * 10) / 10));
    if (phase !== "up") {
      pane.draw();
      return;
    }
    const stroke = this.live;
    this.live = null;
    if (!stroke.length) return;
    this.remember();
    this.strokes.push(stroke);
    await this.ask(pane);
  }

  paint(pane, phase, at, erase) {
    const { full_columns, full_rows } = pane.loaded.plane;
    if (phase === "down") {
      this.remember();
      const before = this.mask;
      this.mask = blank(full_columns, full_rows);
      if (before) this.mask.getContext("2d").drawImage(before, 0, 0);
      this.last = at;
    }
    if (!this.mask || !at) return;
    const context = this.mask.getContext("2d");
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    context.strokeStyle = `rgb(${COLOUR})`;
    context.lineWidth = Math.max(2, (BRUSH_PART * Math.max(full_columns, full_rows)) / Math.sqrt(pane.zoom));
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...(this.last ?? at));
    context.lineTo(at[0] + 0.01, at[1]);
    context.stroke();
    this.last = at;
    changed(this.mask);
    if (phase === "up") {
      // From here on the segmenter corrects this mask; what was drawn before is spent.
      this.corrected = this.mask;
      Object.assign(this, { points: [], box: null, strokes: [] });
      this.report(pane, null);
    }
    pane.draw();
  }

  async ask(pane) {
    const number = ++this.asking;
    pane.draw();
    const began = performance.now();
    const reply = await inSession("clicks", {
      method: "POST",
      body: {
        image: this.ref,
        points: this.points,
        box: this.box,
        strokes: this.strokes,
        previous: this.corrected ? toBase64(this.corrected) : null,
      },
    });
    const told = JSON.parse(reply.headers.get("X-Overread-Mask"));
    const mask = await fromPng(await reply.blob(), COLOUR);
    if (number !== this.asking) return; // a later click, or undo, overtook it
    this.mask = mask;
    this.assisted = true;
    pane.draw();
    this.report(pane, told, performance.now() - began);
  }

  report(pane, told, ms = 0) {
    const found = extent(this.mask);
    pane.element.dataset.maskPixels = found ? found.count : 0;
    if (!found) say("Nothing there: add a point, or draw by hand.");
    else if (!told) say(`Edited by hand: ${found.count} pixels.`);
    else {
      const size = told.area_mm2 ? `${told.area_mm2} mm², long axis ${told.long_axis_mm} mm` : `${told.pixels} pixels`;
      say(`${size}; mean probability ${told.confidence.toFixed(2)} · ${Math.round(ms)} ms`);
    }
  }

  /** Shows the outline in the other images of the series, to be looked at before it is accepted. */
  async carry(pane) {
    if (!this.mask || !extent(this.mask)) throw new Error("Outline something first.");
    const number = ++this.asking;
    say("Carrying the outline through the series…");
    const reply = await inSession("carried", {
      method: "POST", body: { image: this.ref, mask: toBase64(this.mask) },
    });
    const found = await reply.json();
    const masks = await Promise.all(
      found.map(async ({ image, mask }) => [image, await fromBase64(mask, COLOUR)]),
    );
    if (number !== this.asking) return;
    this.carried = new Map(masks);
    pane.element.dataset.carried = masks.length;
    pane.draw();
    say(`Found in ${masks.length} of ${pane.series.images.length} images: scroll to check, then accept.`);
  }

  async accept(pane) {
    if (!this.mask || (this.ref !== pane.ref && !this.carried) || !extent(this.mask)) throw new Error("Outline something first.");
    const name = this.name.value.trim();
    if (!name) {
      this.name.focus();
      throw new Error("Name the outline, then accept it.");
    }
    const reply = await inSession("outlines", {
      method: "POST",
      body: { image: this.ref, name, mask: toBase64(this.mask), assisted: this.assisted, carried: !!this.carried },
    });
    const facts = await reply.json();
    this.wipe();
    this.name.value = "";
    say(`${facts.id}: your outline of ${name} is evidence now; answers can cite it.`);
    await this.accepted(facts);
  }
}
