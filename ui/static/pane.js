// One image area: shows a slice of a series under a window, with zoom, pan and what lies over it.

import { Corners } from "./corners.js";
import { watchHands, watchWheel } from "./hands.js";
import { drawBox } from "./marks.js";
import { blank } from "./masks.js";
import { load, paint } from "./planes.js";
import { make, MOMENT_MS, patiently, trying } from "./server.js";

const ZOOM_STEP = 1.15;
const FADED = 0.3;

export class Pane {
  /** `events`: changed(pane), activated(pane), elsewhere(), drawn(pane, phase, at, event). */
  constructor(number, events) {
    this.number = number;
    this.events = events;
    this.series = null;
    this.index = 0;
    this.layers = [];
    this.box = null;
    this.bare = false; // no masks, boxes or outlines over the image
    this.frame = null;
    this.reset();
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.corners = new Corners();
    this.slider = make("input", {
      type: "range", min: 0, max: 0, value: 0, "aria-label": "Slice",
      oninput: trying(() => this.go(Number(this.slider.value))),
    });
    this.element = make(
      "div",
      { class: "pane", tabindex: 0, role: "img", "aria-label": "No image", "data-pane": number },
      this.canvas, this.corners.title, this.corners.facts, this.corners.place, this.slider,
    );
    this.picture = blank(1, 1);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  get ref() {
    return this.series ? this.series.images[this.index] : "";
  }

  /** Whether the image that was asked for is on the screen, not yet the one before it. */
  get isReady() {
    return this.loaded?.plane.ref === this.ref;
  }

  reset() {
    this.zoom = 1;
    this.centre = [0.5, 0.5]; // the part of the image in the middle of the pane, whatever its size
    this.window = null;
  }

  /** Shows a series { title, images, modality }, at an index. */
  async show(series, index) {
    const another = this.series?.id !== series.id;
    this.series = series;
    if (another) {
      this.reset();
      this.uncover();
      this.loaded = null;
    }
    this.slider.max = series.images.length - 1;
    this.slider.hidden = series.images.length < 2;
    await this.go(index);
  }

  async go(index) {
    if (!this.series) return;
    const last = this.series.images.length - 1;
    this.index = Math.min(Math.max(index, 0), last);
    this.slider.value = this.index;
    const ref = this.ref;
    if (!this.loaded) this.empty();
    // Until then the slice before stays as it is, so that scrolling does not flicker.
    const late = setTimeout(() => this.ref === ref && this.draw(), MOMENT_MS);
    let loaded;
    try {
      loaded = await patiently(`Opening ${this.series.title}…`, load(ref));
    } catch (error) {
      if (this.ref === ref) this.empty(true);
      throw error;
    } finally {
      clearTimeout(late);
    }
    if (this.ref !== ref) return; // scrolled on meanwhile
    this.loaded = loaded;
    this.element.dataset.ref = ref;
    this.repaint();
    this.events.changed(this);
    for (const near of [this.index + 1, this.index - 1]) {
      if (near >= 0 && near <= last) load(this.series.images[near]).catch(() => {});
    }
  }

  /** Shows no image: none was opened yet, it is on its way, or it failed. */
  empty(failed = false) {
    this.failed = failed;
    this.loaded = null;
    delete this.element.dataset.ref;
    this.draw();
  }

  /** Lays masks and heat over the image. */
  lay(layers) {
    this.layers = layers;
    this.element.dataset.layers = layers.map((layer) => layer.name).join(",");
    this.draw();
  }

  /** Takes away what evidence laid over the image; it is drawn anew by whoever asked for that. */
  uncover() {
    this.layers = [];
    this.box = null;
    delete this.element.dataset.evidence;
    delete this.element.dataset.layers;
  }

  clear() {
    this.series = null;
    this.uncover();
    this.slider.hidden = true;
    this.empty();
  }

  repaint() {
    this.stale = false;
    if (this.loaded) paint(this.loaded, this.window ?? this.loaded.plane.window, this.picture);
    this.draw();
  }

  setWindow(window) {
    this.window = window;
    this.drawSoon(true);
  }

  /** Draws at the next frame, once, however often it is asked before; `repaint`: the grey levels, too. */
  drawSoon(repaint = false) {
    this.stale ||= repaint;
    this.frame ??= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    if (this.stale) this.repaint();
    else this.draw();
  }

  /** Where the image lies on the canvas, in CSS pixels. */
  placed() {
    const { plane } = this.loaded;
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    const tall = plane.rows * plane.aspect;
    const scale = Math.min(width / plane.columns, height / tall) * this.zoom;
    return {
      x: width / 2 - this.centre[0] * plane.columns * scale,
      y: height / 2 - this.centre[1] * tall * scale,
      width: plane.columns * scale,
      height: tall * scale,
    };
  }

  /** Turns a place on the page into a part of the image: 0 to 1, beyond that outside of it. */
  part([x, y]) {
    const frame = this.element.getBoundingClientRect();
    const place = this.placed();
    return [
      (x - frame.left - this.element.clientLeft - place.x) / place.width,
      (y - frame.top - this.element.clientTop - place.y) / place.height,
    ];
  }

  /** Turns a pointer's place into pixels of the full image; one outside is beyond its sides. */
  pixel(event) {
    const { full_columns, full_rows } = this.loaded.plane;
    const [x, y] = this.part([event.clientX, event.clientY]);
    return [x * full_columns, y * full_rows];
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    const ratio = globalThis.devicePixelRatio || 1;
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    this.canvas.width = Math.max(1, width * ratio);
    this.canvas.height = Math.max(1, height * ratio);
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    if (this.loaded) {
      const place = this.placed();
      context.globalAlpha = this.isReady ? 1 : FADED;
      context.imageSmoothingEnabled = place.width < 4 * this.loaded.plane.columns;
      context.drawImage(this.picture, place.x, place.y, place.width, place.height);
      if (this.isReady && !this.bare) this.drawOver(context, place);
    }
    this.tell();
  }

  drawOver(context, place) {
    for (const layer of this.layers.filter((item) => item.ref === this.ref)) {
      if (layer.mask) layer.mask.draw(context, place);
      else context.drawImage(layer.heat, place.x, place.y, place.width, place.height);
    }
    if (this.box?.ref === this.ref) {
      drawBox(context, ...this.boxOnScreen(this.box.box, place), "#ffd54a", this.box.label);
    }
    this.drawing?.draw(context, this, place);
  }

  toScreen([x, y], place) {
    const { full_columns, full_rows } = this.loaded.plane;
    return [place.x + (x / full_columns) * place.width, place.y + (y / full_rows) * place.height];
  }

  boxOnScreen([left, top, right, bottom], place) {
    return [this.toScreen([left, top], place), this.toScreen([right + 1, bottom + 1], place)];
  }

  tell() {
    this.corners.tell(this);
    if (!this.isReady) return;
    const [centre, width] = this.window ?? this.loaded.plane.window;
    this.element.dataset.window = `${Math.round(centre)}/${Math.round(width)}`;
    this.element.dataset.zoom = this.zoom.toFixed(2);
    this.element.dataset.centre = this.centre.map((part) => part.toFixed(3)).join();
  }

  /** Zooms; what lies at a place on the page stays there, or goes to another: `to`. */
  zoomBy(factor, from = null, to = from) {
    if (!this.loaded) return;
    const held = from && this.part(from);
    this.zoom = Math.min(Math.max(this.zoom * factor, 0.2), 40);
    if (held) {
      const { width, height } = this.placed();
      const [x, y] = this.part(to);
      this.moveBy((x - held[0]) * width, (y - held[1]) * height);
    }
    this.drawSoon();
    this.events.changed(this);
  }

  moveBy(dx, dy) {
    const { width, height } = this.placed();
    this.centre = [this.centre[0] - dx / width, this.centre[1] - dy / height];
    this.drawSoon();
  }

  dragWindow(dx, dy) {
    const { plane } = this.loaded;
    const [centre, width] = this.window ?? plane.window;
    const span = Math.max(plane.high - plane.low, 1) / 600;
    const step = Math.min(Math.max(width / 300, span / 4), span * 4);
    this.setWindow([centre + dy * step, Math.max(1, width + dx * step)]);
  }

  listen() {
    let [mode, before] = [null, null]; // what the drag does, and the window as it began
    const drawn = (phase, event) => {
      if (this.loaded) this.events.drawn(this, phase, this.pixel(event), event);
      else this.events.drawn(this, "cancel"); // another image was opened meanwhile
    };
    this.element.addEventListener("contextmenu", (event) => event.preventDefault());
    watchWheel(this.element, (event, step) => {
      this.events.activated(this);
      if (this.series?.images.length > 1 && !event.ctrlKey) trying(() => this.go(this.index + step))();
      else this.zoomBy(ZOOM_STEP ** -step, [event.clientX, event.clientY]);
    });
    watchHands(this.element, {
      takes: (event) => {
        if (event.target === this.slider) return false;
        this.element.focus({ preventScroll: true });
        this.events.activated(this);
        return this.loaded !== null;
      },
      press: (event) => {
        before = this.window;
        if (event.button === 1 || event.shiftKey) mode = "pan";
        else if (event.button === 2) mode = "zoom";
        else mode = this.tool;
        if (mode === "elsewhere") this.events.elsewhere();
        if (mode === "draw" && !this.isReady) mode = null; // its image is on its way
        if (mode === "draw") drawn("down", event);
      },
      drag: (event, dx, dy) => {
        if (mode === "draw") drawn("move", event);
        if (mode === "draw" || !this.loaded) return;
        if (mode === "window") this.dragWindow(dx, dy);
        if (mode === "zoom") this.zoomBy(Math.exp(-dy / 200));
        if (mode === "pan" || mode === "elsewhere") this.moveBy(dx, dy);
        this.events.changed(this);
      },
      lift: (event) => {
        if (mode === "draw") drawn("up", event);
        if (this.frame !== null) this.drawNow();
      },
      cancel: () => {
        if (mode === "draw") this.events.drawn(this, "cancel");
        if (mode === "window") this.setWindow(before);
        this.events.changed(this);
      },
      pinch: (factor, from, to) => this.zoomBy(factor, from, to),
    });
  }
}
