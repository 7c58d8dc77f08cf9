// The page: ties lists, viewer, evidence and conversation together.

import { dark, firstTour, restoreTheme, showHelp } from "./help.js";
import { Lists, seriesOf } from "./lists.js";
import { forgetAll } from "./planes.js";
import { getJson, here, make, say, send, trying } from "./server.js";
import { TOOLS } from "./drawing.js";
import { Viewer } from "./viewer.js";

let viewer;
let lists;
let version = "";
let current = "";
let fetching = 0;
let lastUsed = false;

function until(selector) {
  return new Promise((resolve) => {
    const look = () => {
      const found = document.querySelector(selector);
      if (found) resolve(found);
      else requestAnimationFrame(look);
    };
    look();
  });
}

/** Finds an image among the studies: [series, index]; one of its own if it is in none. */
function find(ref) {
  for (const series of [...here.facts.studies, ...here.facts.examples].flatMap(seriesOf)) {
    const index = series.images.indexOf(ref);
    if (index >= 0) return [series, index];
  }
  return [{ id: ref, title: "Image", modality: "OT", images: [ref] }, 0];
}

async function open(series) {
  const pane = viewer.active;
  await viewer.open(series);
  if (pane.number === 0) lists.mark(series.id);
  if (pane.number === 0 && series.question) propose(series.question);
  if (pane.number === 0 && viewer.two === false && series.prior) {
    say("There is an earlier image of this patient: press Compare, then choose it.");
  }
}

/** Puts an example's question into an empty box, or over another example's. */
function propose(question) {
  const box = document.querySelector("#ask textarea");
  const known = here.facts.examples.map((item) => item.question);
  if (box.value && !known.includes(box.value)) return;
  box.value = question;
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

async function showEvidence(id) {
  const evidence = here.facts?.evidence.find((item) => item.id === id);
  if (!evidence) throw new Error(`There is no evidence ${id} in this session.`);
  current = id;
  for (const card of document.querySelectorAll("#evidence .card")) {
    const mine = card.dataset.evidence === id;
    card.classList.toggle("current", mine);
    if (mine) card.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "smooth" });
  }
  await viewer.showEvidence(evidence, find);
  if (viewer.panes[0].series) lists.mark(viewer.panes[0].series.id);
}

/** The server's part of the page changed: another session, or more in it. */
async function refresh(facts) {
  const another = facts.session !== here.session;
  if (!another && facts.version === version) return;
  version = facts.version;
  const mine = ++fetching;
  const used = lastUsed;
  lastUsed = facts.used;
  if (another) {
    here.session = facts.session;
    here.user = facts.user;
    forgetAll();
    viewer.clear();
    showUser();
    // Back leads to the session before, if there was anything in it.
    const address = `#${facts.session}`;
    if (location.hash !== address) history[used ? "pushState" : "replaceState"](null, "", address);
    say("");
  }
  const old = another ? null : here.facts;
  const told = await getJson(`sessions/${facts.session}`);
  if (mine !== fetching) return;
  here.facts = told;
  document.getElementById("targets").replaceChildren(...told.targets.map((name) => make("option", { value: name })));
  lists.show(told);
  await lists.showSessions();
  const fresh = told.studies.flatMap(seriesOf).filter((series) => !old?.studies.flatMap(seriesOf).some((known) => known.id === series.id));
  const found = told.evidence.filter((item) => item.layers.length && !old?.evidence.some((known) => known.id === item.id));
  if (current && !told.evidence.some((item) => item.id === current)) drop();
  if (fresh.length) await open(fresh[fresh.length - 1]);
  else if (another && told.asked.length) await open(find(told.asked[told.asked.length - 1])[0]);
  if (found.length && (another || isLookedAt(found[found.length - 1].image))) await showEvidence(found[found.length - 1].id);
  else if (viewer.panes[0].series) lists.mark(viewer.panes[0].series.id);
}

/** Whether the reader still looks at an image, with nothing of their own drawn on it: only then it is shown to them unasked. */
function isLookedAt(ref) {
  const series = viewer.panes[0].series;
  return !viewer.busy() && (!series || series.images.includes(ref));
}

/** Takes evidence away that was taken back with its question. */
function drop() {
  current = "";
  viewer.panes[0].uncover();
  viewer.panes[0].draw();
}

function showUser() {
  const menu = document.getElementById("menu");
  const button = (label, title, run) => make("button", { type: "button", title, "aria-label": title, onclick: run }, label);
  const out = button("Log out", "Log out", trying(async () => {
    await send("logout", { method: "POST" });
    location.assign("/login");
  }));
  menu.replaceChildren(
    button("☰", "Show or hide the lists (F)", toggleLists),
    button("◐", "Dark mode on or off (D)", () => dark(!dark())),
    button("?", "Help and shortcuts (?)", showHelp),
    ...(here.user === "local" ? [] : [make("span", { class: "user" }, here.user), out]),
  );
}

function toggleLists() {
  document.getElementById("room").classList.toggle("narrow");
}

function step(by) {
  const ids = here.facts.evidence.map((item) => item.id);
  if (!ids.length) return;
  const at = ids.indexOf(current);
  return showEvidence(ids[(at + by + ids.length) % ids.length]);
}

const SHORTCUTS = {
  ArrowUp: () => viewer.scroll(-1), ArrowDown: () => viewer.scroll(1),
  PageUp: () => viewer.scroll(-10), PageDown: () => viewer.scroll(10),
  " ": () => viewer.play(), "+": () => viewer.active.zoomBy(1.25), "-": () => viewer.active.zoomBy(0.8),
  w: () => viewer.choose("window"), p: () => viewer.choose("pan"), r: () => viewer.reset(),
  c: () => viewer.compare(!viewer.two), l: () => viewer.link(!viewer.linked),
  m: () => viewer.hide(!viewer.hidden),
  u: () => viewer.drawing.undo(viewer.panes[0]), Delete: () => viewer.drawing.clear(viewer.panes[0]),
  t: () => viewer.drawing.carry(viewer.panes[0]), a: () => viewer.drawing.accept(viewer.panes[0]),
  q: () => viewer.unsure(!viewer.drawing.doubting), y: () => viewer.why(!viewer.explains),
  "[": () => step(-1), "]": () => step(1), "?": showHelp, d: () => dark(!dark()), f: toggleLists,
  "/": () => document.querySelector("#ask textarea").focus(),
  ...Object.fromEntries(TOOLS.map((tool) => [tool.key, () => viewer.choose(tool.id)])),
};

function onKey(event) {
  const busy = event.target.closest("input:not([type=range], [type=checkbox]), textarea, select, [contenteditable], dialog, #tour, [role=tablist]");
  if (busy || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " " && event.target.closest("button, a, input")) return;
  if (event.key === "Enter") onClick(event);
  const digit = /^[1-9]$/.test(event.key);
  const run = digit ? () => viewer.preset(Number(event.key) - 1) : SHORTCUTS[event.key] ?? SHORTCUTS[event.key.toLowerCase()];
  if (!run) return;
  event.preventDefault();
  trying(run)();
}

function onClick(event) {
  const link = event.target.closest('a[href*="#E"]');
  const card = event.target.closest("#evidence [data-evidence]");
  if (!link && !card) return;
  event.preventDefault();
  event.stopPropagation();
  trying(showEvidence)(link ? link.hash.slice(1) : card.dataset.evidence);
}

function watch(marker) {
  const read = () => {
    const facts = document.getElementById("mark")?.dataset.facts;
    if (facts) trying(refresh)(JSON.parse(facts));
  };
  new MutationObserver(read).observe(marker, { childList: true, subtree: true, attributes: true });
  read();
}

/** Gradio puts a nameless button into the button that folds a step: only the outer one is left. */
function unnest(chat) {
  const quiet = () => {
    for (const arrow of chat.querySelectorAll(".thought-group .title button:not([inert])")) arrow.inert = true;
  };
  new MutationObserver(quiet).observe(chat, { childList: true, subtree: true });
  quiet();
}

async function start() {
  restoreTheme();
  const [root, left, marker] = await Promise.all(["#viewer", "#studies", "#marker"].map(until));
  viewer = new Viewer(root, {
    accepted: async (facts) => {
      // The evidence panel is Gradio's: it draws itself anew for the same session.
      window.overreadOpen(here.session);
      here.facts.evidence.push(facts);
      await showEvidence(facts.id);
    },
  });
  lists = new Lists(left, { open, enter: (session) => window.overreadOpen(session) });
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", onClick, true);
  const wanted = location.hash.slice(1);
  if (wanted.startsWith("s-")) {
    await until("#mark");
    window.overreadOpen(wanted);
  }
  addEventListener("popstate", () => {
    const asked = location.hash.slice(1);
    if (asked.startsWith("s-") && asked !== here.session) window.overreadOpen(asked);
  });
  watch(marker);
  until("#chat").then(unnest);
  firstTour();
}

window.overread = { shown: () => viewer?.panes[0].ref ?? "" };
start();
