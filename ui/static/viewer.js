// The viewer: one pane or two beside each other, their tools, and what evidence looks like on them.

import { layDoubts } from "./doubts.js";
import { Drawing, TOOLS } from "./drawing.js";
import { fromPng, PALETTE } from "./masks.js";
import { Pane } from "./pane.js";
import { Player } from "./player.js";
import { Presets } from "./presets.js";
import { inSession, make, say, trying } from "./server.js";

const NAVIGATION = [
  { id: "window", label: "Window", key: "w", hint: "Drag: across for width, down for centre" },
  { id: "pan", label: "Pan", key: "p", hint: "Drag the image (or hold Shift)" },
];

export class Viewer {
  constructor(root, { accepted }) {
    const events = {
      changed: (pane) => this.changed(pane),
      activated: (pane) => this.activate(pane),
      elsewhere: () => say("Drawing is on the left image."),
      drawn: trying((...given) => this.drawn(...given)),
    };
    this.panes = [new Pane(0, events), new Pane(1, events)];
    this.drawing = new Drawing(accepted);
    this.active = this.panes[0];
    this.panes[0].drawing = this.drawing;
    this.linked = true;
    this.told = ""; // the image that the status line is about
    this.presets = new Presets((number) => this.preset(number));
    this.build(root);
    this.player = new Player(this.buttons.play);
    this.hide(false);
    this.unsure(false);
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
    this.neighbours = make("select", {
      "aria-label": "Similar case", hidden: true, onchange: trying(() => this.showNeighbour()),
    });
    root.replaceChildren(
      make("div", { class: "bar", role: "toolbar", "aria-label": "View" },
        ...NAVIGATION.map(button), this.presets.element,
        action("reset", "Reset", "Whole image, own window (R)", () => this.reset()),
        action("compare", "Compare", "Two images side by side (C)", () => this.compare(!this.two)),
        action("link", "Link", "Scroll, zoom and window both together (L)", () => this.link(!this.linked)),
        action("play", "▶ Play", "Play slices or frames (Space)", () => this.play()),
        action("hide", "Hide", "Masks, boxes and outlines away, or back (M)", () => this.hide(!this.hidden)),
        action("unsure", "Unsure", "Where the segmenter is unsure of what it outlined (Q)", () => this.unsure(!this.drawing.doubting)),
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
    this.panes[1].tool = draws ? "elsewhere" : tool; // prompts go to the first image alone
    for (const item of [...TOOLS, ...NAVIGATION]) {
      this.buttons[item.id].setAttribute("aria-pressed", String(item.id === tool));
    }
    this.panes[0].element.dataset.tool = tool;
  }

  activate(pane) {
    if (this.active === pane) return;
    this.active = pane;
    for (const item of this.panes) item.element.classList.toggle("active", item === pane);
    this.presets.list(pane);
  }

  /** Whether the reader is at an outline of the left image that is not yet accepted. */
  busy() {
    return this.drawing.isBusy(this.panes[0]);
  }

  async drawn(pane, phase, ...rest) {
    if (phase === "down") {
      this.player.stop();
      if (this.hidden) this.hide(false); // nobody draws what cannot be seen
    }
    await this.drawing.drawn(pane, phase, ...rest);
  }

  /** A pane shows another image, or the same in another way. */
  changed(pane) {
    this.follow(pane);
    this.presets.show(this.active);
    if (pane.number || pane.ref === this.told) return;
    this.told = pane.ref;
    this.drawing.tell(pane);
  }

  /** Takes all that lies over the images away, or lays it there again. */
  hide(hidden) {
    this.hidden = hidden;
    this.buttons.hide.setAttribute("aria-pressed", String(hidden));
    for (const pane of this.panes) {
      pane.bare = hidden;
      pane.draw();
    }
  }

  /** Shows where the outline being drawn and those of evidence are unsure, or shows it no more. */
  async unsure(on) {
    this.buttons.unsure.setAttribute("aria-pressed", String(on));
    await this.drawing.doubt(this.panes[0], on);
    await this.doubts();
  }

  doubts() {
    const stands = (evidence) => evidence && this.evidence === evidence && this.drawing.doubting;
    return layDoubts(this.panes[0], this.evidence, stands);
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
    other.centre = pane.centre;
    if (pane.window && pane.series.modality === other.series.modality) other.window = pane.window;
    const settle = () => (this.following = false);
    if (wanted !== other.index && own > 1) other.go(wanted).then(settle, settle);
    else {
      other.drawSoon(true);
      settle();
    }
  }

  /** Opens a series in the active pane (or in a given one). */
  async open(series, index = Math.floor(series.images.length / 2), pane = this.active) {
    this.player.stop();
    await pane.show(series, index);
    this.presets.list(this.active);
  }

  preset(number) {
    const { loaded } = this.active;
    const window = loaded ? this.presets.window(number, loaded.plane) : undefined;
    if (window === undefined) return;
    this.active.setWindow(window);
    this.changed(this.active);
  }

  reset() {
    for (const pane of this.panes) {
      pane.reset();
      pane.repaint();
    }
    this.presets.show(this.active);
  }

  scroll(by) {
    return this.active.go(this.active.index + by);
  }

  play() {
    this.player.toggle(this.active);
  }

  /** Jumps to a piece of evidence: its image, its masks, its box, its neighbours. */
  async showEvidence(evidence, find) {
    if (!evidence.image) {
      say(`${evidence.id} is about no single image.`);
      return;
    }
    const [series, index] = find(evidence.image);
    const pane = this.panes[0];
    this.evidence = evidence;
    await this.open(series, index, pane);
    const named = evidence.layers.map((name) => ({ ref: evidence.image, name }));
    const layers = await Promise.all(
      named.map(async (layer, i) => {
        const reply = await inSession(`evidence/${evidence.id}/mask?name=${encodeURIComponent(layer.name)}`);
        return { ...layer, mask: await fromPng(await reply.blob(), PALETTE[i % PALETTE.length]) };
      }),
    );
    if (this.evidence !== evidence || pane.series.id !== series.id) return; // the reader went on
    const around = layers.length ? layers[0].mask.extent()?.box : null;
    const box = evidence.box ?? around;
    const label = `${evidence.id} ${layers.map((layer) => layer.name).join(", ")}`.trim();
    pane.box = box ? { ref: evidence.image, box, label } : null;
    pane.element.dataset.evidence = evidence.id;
    pane.lay(layers);
    this.hide(false);
    this.explains = evidence.heat;
    this.listNeighbours(evidence);
    if (evidence.neighbours.length) await this.showNeighbour();
    else if (evidence.heat) await this.heat();
    say(evidence.content);
    if (this.drawing.doubting) await this.doubts();
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
      const picture = await createImageBitmap(await reply.blob());
      if (this.evidence.id !== id) return; // another was chosen meanwhile
      pane.layers.push({ ref: image, name: `heat ${name}`.trim(), heat: picture });
    }
    pane.lay(pane.layers);
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
    this.player.stop();
    this.compare(false);
    this.drawing.wipe();
    this.told = "";
    for (const pane of this.panes) pane.clear();
  }
}
