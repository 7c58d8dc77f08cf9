// Help: the shortcuts' dialog, the first tour, and the dark mode.

import { make } from "./server.js";

const KEYS = [
  ["↑ ↓ or wheel", "previous, next slice"], ["Page Up, Page Down", "ten slices"],
  ["Space", "play or pause"], ["+ −", "zoom"], ["1 … 9", "window presets"],
  ["W, P", "window, pan"], ["R", "reset the view"], ["C, L", "compare, link"],
  ["N, X", "point inside, point outside"], ["B, S", "box, scribble"], ["V, E", "brush, eraser"],
  ["U, Delete", "undo, clear the outline"], ["T", "follow the outline through slices or frames"],
  ["Q", "where the segmenter is unsure of what it outlined"],
  ["A", "accept the outline as evidence"],
  ["M", "hide or show masks"],
  ["[ ]", "previous, next evidence"], ["Y", "why a similar case was found"], ["/", "ask a question"], ["D", "dark mode"],
  ["F", "show or hide the lists"], ["?", "this help"],
];
const STEPS = [
  ["#left", "Open your images here: DICOM, NIfTI, PNG, JPEG, TIFF or video. They are de-identified, and the originals are deleted. Or choose a synthetic example."],
  ["#viewer", "Drag to window, wheel to scroll slices, Ctrl and wheel to zoom. Compare shows two images side by side."],
  ["#ask", "Ask a question about what the viewer shows. You see each tool as it runs, and can stop it."],
  ["#evidence", "Every statement cites numbered evidence. Click a citation or a card: the viewer jumps to it."],
  ["#viewer .bar[aria-label=Draw]", "Outline something yourself: point, box or scribble, and the segmenter answers. Correct and accept it, and it becomes evidence marked as yours."],
  ["#header .research", "For research only: this is not a medical device, and its small models know synthetic images."],
];
const SEEN = "overread-tour";
const THEME = "overread-theme";

export function dark(wanted = null) {
  const body = document.body;
  if (wanted !== null) {
    body.classList.toggle("dark", wanted);
    localStorage.setItem(THEME, wanted ? "dark" : "light");
  }
  return body.classList.contains("dark");
}

export function restoreTheme() {
  const kept = localStorage.getItem(THEME);
  if (kept) document.body.classList.toggle("dark", kept === "dark");
}

export function showHelp() {
  if (document.getElementById("help")) return;
  const rows = KEYS.map(([keys, what]) => make("tr", {}, make("th", { scope: "row" }, keys), make("td", {}, what)));
  const dialog = make("dialog", { id: "help", class: "overread-dialog", "aria-labelledby": "help-title" },
    make("h2", { id: "help-title" }, "Keyboard"),
    make("table", {}, make("tbody", {}, ...rows)),
    make("form", { method: "dialog" },
      make("button", { type: "button", onclick: () => { dialog.close(); tour(); } }, "Show the tour"),
      make("button", { class: "main" }, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

export function firstTour() {
  if (!localStorage.getItem(SEEN)) tour();
}

export function tour() {
  document.getElementById("tour")?.remove();
  let step = 0;
  const text = make("p", {});
  const count = make("span", { class: "count" });
  const next = make("button", { type: "button", class: "main", onclick: () => go(step + 1) }, "Next");
  const back = make("button", { type: "button", onclick: () => go(step - 1) }, "Back");
  const box = make("div", { id: "tour", role: "dialog", "aria-label": "Tour" }, text,
    make("div", { class: "row" }, count, make("button", { type: "button", onclick: end }, "Skip"), back, next));
  box.addEventListener("keydown", (event) => event.key === "Escape" && end());
  function lit(on) {
    document.querySelector(STEPS[step][0])?.classList.toggle("tour-lit", on);
  }
  function end() {
    lit(false);
    localStorage.setItem(SEEN, "seen");
    box.remove();
  }
  function go(wanted) {
    lit(false);
    if (wanted >= STEPS.length) return end();
    step = Math.max(0, wanted);
    lit(true);
    text.textContent = STEPS[step][1];
    count.textContent = `${step + 1} of ${STEPS.length}`;
    back.disabled = step === 0;
    next.textContent = step === STEPS.length - 1 ? "Done" : "Next";
    next.focus();
  }
  document.body.append(box);
  go(0);
}
