// Drawing on an image: points, a box and strokes ask the segmenter; brush and eraser change the mask.

import { askDoubt } from "./doubts.js";
import { drawBox, drawDot, drawStroke } from "./marks.js";
import { Mask, fromBase64, fromPng } from "./masks.js";
import { Outline } from "./outline.js";
import { inSession, make, patiently, say } from "./server.js";

export const TOOLS = [
  { id: "point", label: "Point", key: "n", hint: "Click what belongs to it" },
  { id: "exclude", label: "Not", key: "x", hint: "Click what does not belong to it" },
  { id: "box", label: "Box", key: "b", hint: "Drag a box around it" },
  { id: "scribble", label: "Scribble", key: "s", hint: "Draw a stroke inside it" },
  { id: "brush", label: "Brush", key: "v", hint: "Add to the mask by hand" },
  { id: "eraser", label: "Eraser", key: "e", hint: "Take from the mask by hand" },
];
const COLOUR = [255, 82, 140];
const INSIDE = "#2ecc71";
const OUTSIDE = "#e74c3c";
const BRUSH_PART = 0.018;

export class Drawing {
  /** `accepted(facts)` is called with new evidence. */
  constructor(accepted) {
    this.accepted = accepted;
    this.tool = null;
    this.outlines = new Map(); // by image, until accepted or cleared
    this.asked = 0; // never counts back: an answer is known by its number
    this.live = null; // the gesture under way; nothing of it counts before it ends
    this.accepting = false;
    this.doubting = false; // whether it is shown where outlines are unsure
    this.name = make("input", {
      class: "name", list: "targets", placeholder: "Its name", maxlength: 60,
      "aria-label": "Name of the outline",
    });
  }

  /** Drops every outline: another session is shown. */
  wipe() {
    this.live = null;
    for (const outline of this.outlines.values()) this.drop(outline);
  }

  drop(outline) {
    outline.awaited = 0;
    this.outlines.delete(outline.ref);
  }

  /** Returns the outline on what a pane shows: drawn there, or carried there. */
  on(pane) {
    const carried = (outline) => outline.carried && pane.series?.images.includes(outline.ref);
    return this.outlines.get(pane.ref) ?? [...this.outlines.values()].find(carried);
  }

  isBusy(pane) {
    return this.live !== null || this.on(pane)?.isEmpty === false;
  }

  async undo(pane) {
    const outline = this.on(pane);
    if (!outline?.past.length) return;
    const waited = outline.undo();
    if (outline.isEmpty) this.drop(outline);
    this.tell(pane);
    if (waited) await this.ask(outline, pane);
    else await this.askDoubt(outline, pane);
    pane.draw();
  }

  clear(pane) {
    this.live = null;
    const outline = this.on(pane);
    if (outline) this.drop(outline);
    pane.draw();
    say("");
  }

  /** Takes part in the pane's drawing. */
  draw(context, pane, place) {
    const live = this.live?.ref === pane.ref ? this.live : {};
    const outline = this.on(pane);
    (live.mask ?? outline?.maskOn(pane.ref))?.draw(context, place);
    const own = this.outlines.get(pane.ref);
    if (this.doubting && own?.doubt) {
      context.drawImage(own.doubt, place.x, place.y, place.width, place.height);
    }
    const box = live.box ?? own?.box;
    if (box) drawBox(context, ...pane.boxOnScreen(box, place), "#ff9ec4");
    for (const [x, y, inside] of own?.points ?? []) {
      drawDot(context, pane.toScreen([x + 0.5, y + 0.5], place), inside ? INSIDE : OUTSIDE);
    }
    for (const stroke of [...(own?.strokes ?? []), live.stroke ?? []]) {
      drawStroke(context, stroke.map((point) => pane.toScreen(point, place)), INSIDE);
    }
  }

  /** A pointer went down, moved, went up, or was none (cancel), at a place in pixels of the image. */
  async drawn(pane, phase, at, event) {
    if (phase === "down") {
      const tool = this.tool === "point" && event.altKey ? "exclude" : this.tool;
      this.live = { tool, ref: pane.ref, start: at };
    }
    const live = this.live;
    if (!live) return;
    if (phase === "cancel" || live.ref !== pane.ref) {
      this.live = null;
      pane.draw();
      return;
    }
    this.extend(live, pane, at);
    if (phase !== "up") {
      pane.drawSoon();
      return;
    }
    this.live = null;
    try {
      await this.finish(live, pane);
    } finally {
      pane.draw();
    }
  }

  extend(live, pane, at) {
    if (live.tool === "box") live.box = boxBetween(live.start, at, pane.loaded.plane);
    else if (live.tool === "scribble") {
      live.stroke ??= [];
      if (isOn(pane, at)) live.stroke.push(at.map((value) => Math.round(value * 10) / 10));
    } else if (live.tool === "brush" || live.tool === "eraser") {
      const { full_columns, full_rows } = pane.loaded.plane;
      live.mask ??= this.outlines.get(live.ref)?.mask?.copy() ?? new Mask(full_columns, full_rows, COLOUR);
      const thickness = Math.max(2, (BRUSH_PART * Math.max(full_columns, full_rows)) / Math.sqrt(pane.zoom));
      live.mask.stroke(live.last ?? at, at, thickness, live.tool === "brush" ? 1 : 0);
      live.last = at;
    }
  }

  async finish({ tool, ref, start, box, stroke, mask }, pane) {
    const outline = this.outlines.get(ref) ?? new Outline(ref);
    if (mask) {
      this.outlines.set(ref, outline);
      outline.paintOver(mask);
      this.report(outline, pane, null);
      return;
    }
    const clicks = tool === "point" || tool === "exclude";
    if (clicks && !isOn(pane, start)) throw new Error("That is outside the image.");
    if (stroke && !stroke.length) throw new Error("Draw the stroke on the image.");
    if (box && (box[2] === box[0] || box[3] === box[1])) throw new Error("Drag a box over a part of the image.");
    this.outlines.set(ref, outline);
    outline.remember();
    if (clicks) outline.points.push([...start.map(Math.floor), tool === "point"]);
    if (stroke) outline.strokes.push(stroke);
    if (box) outline.box = box;
    await this.ask(outline, pane);
  }

  async ask(outline, pane) {
    pane.draw();
    const began = performance.now();
    await this.answered(outline, async () => {
      const asking = inSession("clicks", { method: "POST", body: outline.prompts() });
      const reply = await patiently("The segmenter is outlining…", asking);
      const told = JSON.parse(reply.headers.get("X-Overread-Mask"));
      return [await fromPng(await reply.blob(), COLOUR), told];
    }, ([mask, told]) => {
      Object.assign(outline, { mask, assisted: true });
      this.report(outline, pane, told, performance.now() - began);
    });
    await this.askDoubt(outline, pane);
  }

  /** Shows where the outlines are unsure, or shows it no more. */
  async doubt(pane, on) {
    this.doubting = on;
    pane.draw();
    const outline = this.outlines.get(pane.ref);
    if (!on || !outline) return;
    if (!outline.hasPrompts) throw new Error("This outline was drawn by hand: the segmenter cannot say how sure it is.");
    await this.askDoubt(outline, pane);
  }

  /** Asks how sure the segmenter is of an outline, if that is to be shown and not yet known. */
  async askDoubt(outline, pane) {
    if (!this.doubting || outline.awaited || outline.doubt || !outline.pixels) return;
    pane.draw();
    const asking = () => askDoubt("uncertainty", { method: "POST", body: outline.prompts() });
    await this.answered(outline, asking, ([picture, told]) => {
      outline.doubt = picture;
      outline.told = `${outline.size}; expected Dice ${told.dice.toFixed(2)} with prompts moved a little; bright: unsure`;
      if (this.on(pane) === outline) this.tell(pane);
    });
    pane.draw();
  }

  /** Asks for something about an outline; `take` gets the answer unless a later step overtook it. */
  async answered(outline, ask, take) {
    const number = ++this.asked;
    outline.awaited = number;
    try {
      const answer = await ask();
      if (outline.awaited === number) take(answer);
    } finally {
      if (outline.awaited === number) outline.awaited = 0;
    }
  }

  report(outline, pane, told, ms = 0) {
    const found = outline.mask.extent();
    outline.pixels = found?.count ?? 0;
    if (!found) outline.told = "Nothing there: add a point, or draw by hand.";
    else if (!told) outline.told = `Edited by hand: ${found.count} pixels.`;
    else {
      outline.size = told.area_mm2 ? `${told.area_mm2} mm², long axis ${told.long_axis_mm} mm` : `${told.pixels} pixels`;
      outline.told = `${outline.size}; expected Dice ${told.dice.toFixed(2)} · ${Math.round(ms)} ms`;
    }
    if (this.on(pane) === outline) this.tell(pane);
  }

  /** Says of the outline in a pane what was last said of it; nothing if there is none. */
  tell(pane) {
    const outline = this.on(pane);
    pane.element.dataset.maskPixels = outline?.pixels ?? 0;
    say(outline?.told ?? "");
  }

  /** Shows the outline in the other images of the series, to be looked at before it is accepted. */
  async carry(pane) {
    const outline = this.outlines.get(pane.ref);
    if (!outline?.mask?.extent()) throw new Error("Outline something first.");
    const { images } = pane.series;
    say("Carrying the outline through the series…");
    await this.answered(outline, async () => {
      const body = { image: outline.ref, mask: outline.mask.toBase64() };
      const found = await (await inSession("carried", { method: "POST", body })).json();
      return Promise.all(found.map(async ({ image, mask }) => [image, await fromBase64(mask, COLOUR)]));
    }, (masks) => {
      outline.carried = new Map(masks);
      outline.told = `Found in ${masks.length} of ${images.length} images: scroll to check, then accept.`;
      pane.element.dataset.carried = masks.length;
      if (this.on(pane) === outline) this.tell(pane);
    });
    pane.draw();
  }

  async accept(pane) {
    if (this.accepting) return; // the second half of a double click
    const outline = this.on(pane);
    if (!outline?.mask?.extent()) throw new Error("Outline something first.");
    const name = this.name.value.trim();
    if (!name) {
      this.name.focus();
      throw new Error("Name the outline, then accept it.");
    }
    this.accepting = true;
    try {
      const { ref, mask, assisted, carried } = outline;
      const body = { image: ref, name, mask: mask.toBase64(), assisted, carried: !!carried };
      const facts = await (await inSession("outlines", { method: "POST", body })).json();
      if (outline.mask === mask) this.drop(outline); // else it was drawn on meanwhile
      this.name.value = "";
      say(`${facts.id}: your outline of ${name} is evidence now; answers can cite it.`);
      await this.accepted(facts);
    } finally {
      this.accepting = false;
    }
  }
}

function isOn({ loaded: { plane } }, [x, y]) {
  return x >= 0 && y >= 0 && x < plane.full_columns && y < plane.full_rows;
}

/** Returns the box between two places, or what of it is on the image. */
function boxBetween(one, other, { full_columns, full_rows }) {
  const within = ([x, y]) => [Math.min(Math.max(x, 0), full_columns - 1), Math.min(Math.max(y, 0), full_rows - 1)];
  const [[ax, ay], [bx, by]] = [within(one), within(other)];
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)].map(Math.floor);
}
