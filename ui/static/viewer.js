// The viewer: one pane or two beside each other, their tools, and what evidence looks like on them.

import { Drawing, TOOLS } from "./drawing.js";
import { extent, fromPng, PALETTE } from "./masks.js";
import { Pane } from "./pane.js";
import { here, inSession, make, say, trying } from "./server.js";

const FRAMES_PER_SECOND = 12;
const NAVIGATION = [
  { id: "window", label: "Window", key: "w", hint: "Drag: across for width, down for centre" },
  { id: "pan", label: "Pan", key: "p", hint: "Drag the image (or hold Shift)" },
];

export class Viewer {
  constructor(root, { accepted }) {
    const events = {
      changed: (pane) => this.follow(pane),
      activated: (pane) => this.activate(pane),
      drawn: trying((...given) => this.drawing.drawn(...given)),
    };
    this.panes = [new Pane(0, events), new Pane(1, events)];
    this.drawing = new Drawing(accepted);
    this.active = this.panes[0];
    this.panes[0].drawing = this.drawing;
    this.linked = true;
    this.playing = null;
    this.build(root);
    this.choose("window");
    this.compare(false);
    this.listNeighbours({ neighbours: [] });
  }

  build(root) {
    this.buttons = {};
    const button = (tool) =>
      (this.buttons[tool.id] = make(
        "button",
        { type: "button", title: `${tool.hint} (${tool.key.toUpperCase()})`, "aria-pressed": "false",
          "data-tool": tool.id, onclick: () => this.choose(tool.id) },
        tool.label,
      ));
    const action = (id, label, title, run) =>
      (this.buttons[id] = make(
        "button", { type: "button", title, "data-action": id, onclick: trying(run) }, label,
      ));
    this.presets = make("select", {
      "aria-label": "Window preset", title: "Window preset (1 to 9)",
      onchange: () => this.preset(this.presets.selectedIndex),
    });
    this.neighbours = make("select", {
      "aria-label": "Similar case", hidden: true, onchange: trying(() => this.showNeighbour()),
    });
    root.replaceChildren(
      make("div", { class: "bar", role: "toolbar", "aria-label": "View" },
        ...NAVIGATION.map(button), this.presets,
        action("reset", "Reset", "Whole image, own window (R)", () => this.reset()),
        action("compare", "Compare", "Two images side by side (C)", () => this.compare(!this.two)),
        action("link", "Link", "Scroll, zoom and window both together (L)", () => this.link(!this.linked)),
        action("play", "▶ Play", "Play slices or frames (Space)", () => this.play()),
        this.neighbours,
        action("why", "Why", "Heat over the image: where it is like this case (Y)", () => this.why(!this.explains)),
      ),
      make("div", { class: "panes" }, ...this.panes.map((pane) => pane.element)),
      make("div", { class: "bar", role: "toolbar", "aria-label": "Draw" },
        ...TOOLS.map(button),
        action("undo", "Undo", "Take the last step back (U)", () => this.drawing.undo(this.panes[0])),
        action("clear", "Clear", "Drop the outline (Delete)", () => this.drawing.clear(this.panes[0])),
        action("carry", "Follow", "Carry the outline through the slices or frames (T)", () => this.drawing.carry(this.panes[0])),
        this.drawing.name, make("datalist", { id: "targets" }),
        action("accept", "Accept", "Make the outline evidence (A)", () => this.drawing.accept(this.panes[0])),
      ),
      make("div", { id: "viewer-status", role: "status", "aria-live": "polite" }),
    );
  }

  choose(tool) {
    const draws = TOOLS.some((item) => item.id === tool);
    this.drawing.tool = draws ? tool : null;
    this.panes[0].tool = draws ? "draw" : tool;
    this.panes[1].tool = draws ? "pan" : tool; // prompts go to the first image alone
    for (const item of [...TOOLS, ...NAVIGATION]) {
      this.buttons[item.id].setAttribute("aria-pressed", String(item.id === tool));
    }
    this.panes[0].element.dataset.tool = tool;
  }

  activate(pane) {
    if (this.active === pane) return;
    this.active = pane;
    for (const item of this.panes) item.element.classList.toggle("active", item === pane);
    this.listPresets();
  }

  compare(two) {
    this.two = two;
    this.panes[1].element.hidden = !two;
    this.buttons.compare.setAttribute("aria-pressed", String(two));
    this.buttons.link.disabled = !two;
    this.buttons.link.setAttribute("aria-pressed", String(two && this.linked));
    if (!two) {
      this.activate(this.panes[0]);
      this.neighbours.hidden = this.buttons.why.hidden = true;
    } else this.activate(this.panes[1]); // the next study that is chosen goes there
    this.panes[0].element.classList.toggle("active", this.active === this.panes[0]);
  }

  link(linked) {
    this.linked = linked;
    this.buttons.link.setAttribute("aria-pressed", String(linked));
  }

  /** Brings the other pane along: the same part of the series, zoom and shift; the window if alike. */
  follow(pane) {
    if (!this.two || !this.linked || this.following) return;
    const other = this.panes[1 - pane.number];
    if (!other.series || !pane.loaded) return;
    this.following = true;
    const [own, its] = [pane.series.images.length, other.series.images.length];
    const wanted = own === its ? pane.index : Math.round((pane.index * (its - 1)) / Math.max(own - 1, 1));
    other.zoom = pane.zoom;
    other.shift = pane.shift;
    if (pane.window && pane.series.modality === other.series.modality) other.window = pane.window;
    const settle = () => (this.following = false);
    if (wanted !== other.index && own > 1) other.go(wanted).then(settle, settle);
    else {
      other.repaint();
      settle();
    }
  }

  /** Opens a series in the active pane (or in a given one). */
  async open(series, index = Math.floor(series.images.length / 2), pane = this.active) {
    this.stopPlaying();
    await pane.show(series, index);
    this.listPresets();
  }

  listPresets() {
    const series = this.active.series;
    this.windows = [["as stored", null], ["full range", "full"]];
    const named = here.facts?.presets[series?.modality] ?? {};
    this.windows.push(...Object.entries(named));
    this.presets.replaceChildren(
      ...this.windows.map(([name], i) => make("option", { value: i }, `${i + 1} ${name}`)),
    );
  }

  preset(number) {
    if (!this.active.loaded || !this.windows?.[number]) return;
    const { low, high } = this.active.loaded.plane;
    const wanted = this.windows[number][1];
    this.presets.selectedIndex = number;
    this.active.setWindow(wanted === "full" ? [(low + high + 1) / 2, high - low + 1] : wanted);
    this.follow(this.active);
  }

  reset() {
    for (const pane of this.panes) {
      pane.reset();
      pane.repaint();
    }
    this.presets.selectedIndex = 0;
  }

  scroll(by) {
    return this.active.go(this.active.index + by);
  }

  play() {
    if (this.playing) {
      this.stopPlaying();
      return;
    }
    const pane = this.active;
    if (!pane.series || pane.series.images.length < 2) throw new Error("There is one image only: nothing to play.");
    this.buttons.play.textContent = "❚❚ Pause";
    const next = async () => {
      const began = performance.now();
      const mine = this.playing;
      await pane.go((pane.index + 1) % pane.series.images.length);
      if (this.playing !== mine || mine === null) return;
      const rest = 1000 / FRAMES_PER_SECOND - (performance.now() - began);
      this.playing = setTimeout(step, Math.max(0, rest));
    };
    const step = trying(next);
    this.playing = setTimeout(step, 0);
  }

  stopPlaying() {
    clearTimeout(this.playing);
    this.playing = null;
    this.buttons.play.textContent = "▶ Play";
  }

  /** Jumps to a piece of evidence: its image, its masks, its box, its neighbours. */
  async showEvidence(evidence, find) {
    if (!evidence.image) {
      say(`${evidence.id} is about no single image.`);
      return;
    }
    const [series, index] = find(evidence.image);
    const pane = this.panes[0];
    await this.open(series, index, pane);
    const named = evidence.layers.map((name) => ({ ref: evidence.image, name }));
    const layers = await Promise.all(
      named.map(async (layer, i) => {
        const reply = await inSession(`evidence/${evidence.id}/mask?name=${encodeURIComponent(layer.name)}`);
        return { ...layer, canvas: await fromPng(await reply.blob(), PALETTE[i % PALETTE.length]) };
      }),
    );
    pane.layers = layers;
    const around = layers.length ? extent(layers[0].canvas)?.box : null;
    const box = evidence.box ?? around;
    const label = `${evidence.id} ${layers.map((layer) => layer.name).join(", ")}`.trim();
    pane.box = box ? { ref: evidence.image, box, label } : null;
    pane.element.dataset.evidence = evidence.id;
    pane.element.dataset.layers = layers.map((layer) => layer.name).join(",");
    pane.draw();
    this.evidence = evidence;
    this.explains = evidence.heat;
    this.listNeighbours(evidence);
    if (evidence.neighbours.length) await this.showNeighbour();
    else if (evidence.heat) await this.heat();
    say(evidence.content);
  }

  listNeighbours({ neighbours }) {
    this.near = neighbours;
    this.neighbours.replaceChildren(
      ...neighbours.map(({ name }, i) => make("option", { value: i }, name)),
    );
    if (!neighbours.length) this.neighbours.hidden = true;
    this.buttons.why.hidden = !neighbours.length;
    this.buttons.why.setAttribute("aria-pressed", "false");
  }

  /** Lays over the image where it is like the case beside it, or takes that away. */
  async why(on) {
    if (this.buttons.why.hidden) throw new Error("Choose evidence with similar cases first.");
    this.explains = on;
    this.buttons.why.setAttribute("aria-pressed", String(on));
    await this.heat();
  }

  /** Draws the heat of the evidence that is shown, or none. */
  async heat() {
    const pane = this.panes[0];
    const { id, image } = this.evidence;
    pane.layers = pane.layers.filter((layer) => !layer.heat);
    if (this.explains) {
      const name = this.near[Math.max(0, this.neighbours.selectedIndex)]?.name ?? "";
      const reply = await inSession(`evidence/${id}/heat?case=${encodeURIComponent(name)}`);
      const canvas = await createImageBitmap(await reply.blob());
      if (this.evidence.id !== id) return; // another was chosen meanwhile
      pane.layers.push({ ref: image, name: `heat ${name}`.trim(), canvas, heat: true });
    }
    pane.element.dataset.layers = pane.layers.map((layer) => layer.name).join(",");
    pane.draw();
  }

  async showNeighbour() {
    const { name, image } = this.near[Math.max(0, this.neighbours.selectedIndex)];
    const first = this.panes[0];
    this.compare(true);
    this.neighbours.hidden = this.buttons.why.hidden = false;
    this.link(false);
    const series = { id: image, title: `similar ${name}`, modality: first.series?.modality, images: [image] };
    await this.open(series, 0, this.panes[1]);
    this.activate(first);
    if (this.explains) await this.heat();
  }

  clear() {
    this.stopPlaying();
    this.compare(false);
    this.drawing.wipe();
    for (const pane of this.panes) pane.clear();
  }
}
