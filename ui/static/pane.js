// One image area: shows a slice of a series under a window, with zoom, pan and what lies over it.

import { load, paint } from "./planes.js";
import { blank, drawMask } from "./masks.js";
import { make, trying } from "./server.js";

const ZOOM_STEP = 1.15;
const HANDLE = 5;

export class Pane {
  /** `events`: changed(pane), activated(pane), drawn(pane, phase, x, y, event). */
  constructor(number, events) {
    this.number = number;
    this.events = events;
    this.series = null;
    this.index = 0;
    this.window = null;
    this.layers = [];
    this.box = null;
    this.reset();
    this.canvas = make("canvas", { "aria-hidden": "true" });
    this.title = make("div", { class: "corner title" });
    this.facts = make("div", { class: "corner facts" });
    this.place = make("div", { class: "corner place" });
    this.slider = make("input", {
      type: "range", min: 0, max: 0, value: 0, "aria-label": "Slice",
      oninput: () => this.go(Number(this.slider.value)),
    });
    this.element = make(
      "div",
      { class: "pane", tabindex: 0, role: "img", "aria-label": "No image", "data-pane": number },
      this.canvas, this.title, this.facts, this.place, this.slider,
    );
    this.picture = blank(1, 1);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  get ref() {
    return this.series ? this.series.images[this.index] : "";
  }

  reset() {
    this.zoom = 1;
    this.shift = [0, 0];
    this.window = null;
  }

  /** Shows a series { title, images, modality }, at an index. */
  async show(series, index) {
    const another = this.series?.id !== series.id;
    this.series = series;
    if (another) {
      this.reset();
      this.layers = [];
      this.box = null;
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
    this.element.dataset.wanted = ref;
    const loaded = await load(ref);
    if (this.ref !== ref) return; // scrolled on meanwhile
    this.loaded = loaded;
    this.element.dataset.ref = ref;
    this.repaint();
    this.events.changed(this);
    for (const near of [this.index + 1, this.index - 1]) {
      if (near >= 0 && near <= last) load(this.series.images[near]).catch(() => {});
    }
  }

  clear() {
    this.series = this.loaded = null;
    this.layers = [];
    this.box = null;
    this.slider.hidden = true;
    delete this.element.dataset.ref;
    this.draw();
  }

  repaint() {
    if (this.loaded) paint(this.loaded, this.window ?? this.loaded.plane.window, this.picture);
    this.draw();
  }

  setWindow(window) {
    this.window = window;
    this.repaint();
  }

  /** Where the image lies on the canvas, in CSS pixels. */
  placed() {
    const { plane } = this.loaded;
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    const tall = plane.rows * plane.aspect;
    const scale = Math.min(width / plane.columns, height / tall) * this.zoom;
    return {
      x: (width - plane.columns * scale) / 2 + this.shift[0],
      y: (height - tall * scale) / 2 + this.shift[1],
      width: plane.columns * scale,
      height: tall * scale,
    };
  }

  /** Turns a pointer's place into a pixel of the full image; null outside. */
  pixel(event) {
    if (!this.loaded) return null;
    const frame = this.element.getBoundingClientRect();
    const place = this.placed();
    const { full_columns, full_rows } = this.loaded.plane;
    const x = ((event.clientX - frame.left - place.x) / place.width) * full_columns;
    const y = ((event.clientY - frame.top - place.y) / place.height) * full_rows;
    if (x < 0 || y < 0 || x >= full_columns || y >= full_rows) return null;
    return [x, y];
  }

  draw() {
    const ratio = globalThis.devicePixelRatio || 1;
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    this.canvas.width = Math.max(1, width * ratio);
    this.canvas.height = Math.max(1, height * ratio);
    const context = this.canvas.getContext("2d");
    context.scale(ratio, ratio);
    if (!this.loaded) {
      this.tell();
      return;
    }
    const place = this.placed();
    context.imageSmoothingEnabled = place.width < 4 * this.loaded.plane.columns;
    context.drawImage(this.picture, place.x, place.y, place.width, place.height);
    for (const layer of this.layers.filter((item) => item.ref === this.ref && !item.hidden)) {
      if (layer.heat) context.drawImage(layer.canvas, place.x, place.y, place.width, place.height);
      else drawMask(context, layer.canvas, place);
    }
    if (this.box?.ref === this.ref) this.outlineBox(context, place, this.box);
    this.drawing?.draw(context, this, place);
    this.tell();
  }

  toScreen([x, y], place) {
    const { full_columns, full_rows } = this.loaded.plane;
    return [place.x + (x / full_columns) * place.width, place.y + (y / full_rows) * place.height];
  }

  outlineBox(context, place, { box, colour = "#ffd54a", label = "" }) {
    const [left, top] = this.toScreen([box[0], box[1]], place);
    const [right, bottom] = this.toScreen([box[2] + 1, box[3] + 1], place);
    context.save();
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.setLineDash([6, 4]);
    context.strokeRect(left, top, right - left, bottom - top);
    if (label) {
      context.font = "600 12px system-ui, sans-serif";
      context.setLineDash([]);
      context.lineWidth = 3;
      context.strokeStyle = "#000";
      context.fillStyle = colour;
      context.strokeText(label, left, Math.max(12, top - 5));
      context.fillText(label, left, Math.max(12, top - 5));
    }
    context.restore();
  }

  dot(context, place, point, colour) {
    const [x, y] = this.toScreen(point, place);
    context.beginPath();
    context.arc(x, y, HANDLE, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = "#fff";
    context.stroke();
  }

  tell() {
    if (!this.loaded) {
      this.title.textContent = this.number ? "" : "Open images, or choose an example at the left";
      this.facts.textContent = this.place.textContent = "";
      this.element.setAttribute("aria-label", "No image");
      return;
    }
    const { plane } = this.loaded;
    const [centre, width] = this.window ?? plane.window;
    const count = this.series.images.length;
    const unit = plane.unit ? ` ${plane.unit}` : "";
    this.title.textContent = this.series.title;
    this.facts.textContent = `C ${Math.round(centre)} W ${Math.round(width)}${unit} · ${Math.round(100 * this.zoom)} %`;
    this.place.textContent = count > 1 ? `${this.index + 1} / ${count}` : "";
    const slice = count > 1 ? `, slice ${this.index + 1} of ${count}` : "";
    this.element.setAttribute("aria-label", `${this.series.title}${slice}`);
    this.element.dataset.window = `${Math.round(centre)}/${Math.round(width)}`;
    this.element.dataset.zoom = this.zoom.toFixed(2);
  }

  zoomBy(factor, at = null) {
    if (!this.loaded) return;
    const wanted = Math.min(Math.max(this.zoom * factor, 0.2), 40);
    if (at) {
      const frame = this.element.getBoundingClientRect();
      const [x, y] = [at[0] - frame.left - frame.width / 2, at[1] - frame.top - frame.height / 2];
      const grown = wanted / this.zoom;
      this.shift = [x - (x - this.shift[0]) * grown, y - (y - this.shift[1]) * grown];
    }
    this.zoom = wanted;
    this.draw();
    this.events.changed(this);
  }

  dragWindow(dx, dy) {
    const { plane } = this.loaded;
    const [centre, width] = this.window ?? plane.window;
    const span = Math.max(plane.high - plane.low, 1) / 600;
    const step = Math.min(Math.max(width / 300, span / 4), span * 4);
    this.setWindow([centre + dy * step, Math.max(1, width + dx * step)]);
  }

  listen() {
    const pointers = new Map();
    let mode = null;
    this.element.addEventListener("contextmenu", (event) => event.preventDefault());
    this.element.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        this.events.activated(this);
        if (this.series?.images.length > 1 && !event.ctrlKey) {
          trying(() => this.go(this.index + Math.sign(event.deltaY)))();
        } else {
          this.zoomBy(event.deltaY < 0 ? ZOOM_STEP : 1 / ZOOM_STEP, [event.clientX, event.clientY]);
        }
      },
      { passive: false },
    );
    this.element.addEventListener("pointerdown", (event) => {
      if (event.target === this.slider) return;
      this.element.focus({ preventScroll: true });
      this.events.activated(this);
      if (!this.loaded) return;
      this.element.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      if (pointers.size > 1) mode = "pinch";
      else if (event.button === 1 || event.shiftKey) mode = "pan";
      else if (event.button === 2) mode = "zoom";
      else mode = this.tool;
      if (mode === "draw") this.events.drawn(this, "down", this.pixel(event), event);
    });
    this.element.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
      if (mode === "pinch") this.pinch(pointers, event);
      pointers.set(event.pointerId, [event.clientX, event.clientY]);
      if (mode === "window") this.dragWindow(dx, dy);
      if (mode === "zoom") this.zoomBy(Math.exp(-dy / 200));
      if (mode === "pan") {
        this.shift = [this.shift[0] + dx, this.shift[1] + dy];
        this.draw();
      }
      if (mode === "draw") this.events.drawn(this, "move", this.pixel(event), event);
      else this.events.changed(this);
    });
    const up = (event) => {
      if (!pointers.delete(event.pointerId)) return;
      if (mode === "draw") this.events.drawn(this, "up", this.pixel(event), event);
      if (!pointers.size) mode = null;
    };
    this.element.addEventListener("pointerup", up);
    this.element.addEventListener("pointercancel", up);
  }

  pinch(pointers, event) {
    const distance = () => {
      const [a, b] = [...pointers.values()];
      return Math.hypot(a[0] - b[0], a[1] - b[1]) || 1;
    };
    const before = distance();
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    this.zoomBy(distance() / before, [event.clientX, event.clientY]);
  }
}

