// The lists at the left: studies of the session, examples, and the user's sessions.

import { getJson, here, make, say, send, trying } from "./server.js";

/** Returns the series of a study as the viewer takes them. */
export function seriesOf(study) {
  const name = [study.title ?? study.kind, study.number].filter(Boolean).join(" ");
  return study.series.map((series, i) => ({
    id: `${study.id}/${series.id}`,
    title: study.series.length > 1 ? `${name} · series ${i + 1}` : name,
    told: toldOf(study, series),
    modality: study.modality,
    images: series.images,
    question: study.question,
    prior: study.prior,
    study: study.id,
  }));
}

/** Says what tells a series from others: the names of files are not kept, for they may name patients. */
function toldOf(study, series) {
  const count = series.images.length;
  const [rows, columns] = series.size ?? [];
  const unit = { Clip: "frames", Volume: "slices" }[study.kind] ?? "images";
  const known = [
    study.of > 1 ? `${study.number} of ${study.of}` : "",
    count > 1 ? `${count} ${unit}` : "",
    // An example has a title of its own: the rest is for the reader's images.
    study.number && rows ? `${columns} × ${rows} px` : "",
    study.number ? study.description : "",
    study.date ?? "",
    study.opened ? `opened ${new Date(study.opened * 1000).toTimeString().slice(0, 5)}` : "",
  ];
  return known.filter(Boolean).map((part) => part.replaceAll(" ", "\u00a0")).join(" · ");
}

export class Lists {
  /** `open(series)` shows one; `enter(session)` opens a session ("" makes one). */
  constructor(root, { open, enter }) {
    this.open = open;
    this.enter = enter;
    this.studies = make("ul", { "aria-label": "Studies of this session" });
    this.examples = make("ul", { "aria-label": "Synthetic examples" });
    this.sessions = make("ul", { "aria-label": "Sessions" });
    this.thumbnails = new Map();
    root.replaceChildren(
      make("section", { "data-list": "studies" }, make("h2", {}, "This session"), this.studies),
      make("section", { "data-list": "examples" }, make("h2", {}, "Examples (synthetic)"), this.examples),
      make("section", { "data-list": "sessions" },
        make("h2", {}, "Sessions"),
        make("button", { type: "button", class: "new", id: "new-session", onclick: () => enter("") }, "+ New session"),
        this.sessions),
    );
  }

  show(facts) {
    if (facts.id !== this.shown) this.thumbnails.clear();
    this.shown = facts.id;
    const rows = (studies) => studies.flatMap(seriesOf).map((series) => this.row(series));
    const empty = make("li", { class: "none" }, "No images yet");
    const own = rows(facts.studies);
    this.studies.replaceChildren(...(own.length ? own : [empty]));
    this.examples.replaceChildren(...rows(facts.examples));
  }

  row(series) {
    return make("li", {},
      make("button",
        { type: "button", class: "study", "data-series": series.id, title: `${series.title} · ${series.told}`,
          onclick: trying(() => this.open(series)) },
        this.thumbnail(series.images[Math.floor(series.images.length / 2)]),
        make("span", { class: "what" }, series.title),
        make("span", { class: "told" }, series.told),
      ));
  }

  /** Returns the small picture of an image; the same element again, so that it is fetched once. */
  thumbnail(ref) {
    const known = this.thumbnails.get(ref);
    if (known) return known;
    const made = make("img", {
      src: `/reading/sessions/${this.shown}/thumbnails/${ref}`, alt: "", loading: "lazy",
      width: 40, height: 40, onerror: () => made.remove(),
    });
    this.thumbnails.set(ref, made);
    return made;
  }

  /** Marks the series that is in the viewer; the session that is shown keeps its own mark. */
  mark(id) {
    for (const button of document.querySelectorAll("#studies [data-series]")) {
      const current = button.dataset.series === id;
      button.setAttribute("aria-current", String(current));
      if (current) button.scrollIntoView({ block: "nearest" });
    }
  }

  async showSessions() {
    const sessions = await getJson("sessions");
    this.sessions.replaceChildren(...sessions.map((session) => this.session(session)));
  }

  session({ id, title, questions }) {
    const icon = (label, sign, run) =>
      make("button", { type: "button", class: "icon", title: label, "aria-label": `${label}: ${title}`, onclick: trying(run) }, sign);
    const item = make("li", { class: "session", "data-session": id });
    const open = make("button",
      { type: "button", class: "study", title, "aria-current": String(id === here.session), onclick: () => this.enter(id) },
      make("span", { class: "what" }, title),
      make("span", { class: "told" }, `${questions} question${questions === 1 ? "" : "s"}`));
    item.append(open,
      make("div", { class: "icons" },
        icon("Rename", "✎", () => this.rename(item, id, title)),
        make("a", { class: "icon", title: "Export as zip", "aria-label": `Export as zip: ${title}`, href: `/reading/sessions/${id}/export`, download: "" }, "↓"),
        icon("Delete", "✕", () => this.remove(id, title))));
    return item;
  }

  rename(item, id, title) {
    const input = make("input", { value: title, maxlength: 80, "aria-label": "New name of the session" });
    const done = trying(async () => {
      if (input.value.trim() && input.value !== title) {
        await send(`sessions/${id}`, { method: "PATCH", body: { title: input.value } });
      }
      await this.showSessions();
    });
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") input.blur();
      if (event.key === "Escape") {
        input.value = title;
        input.blur();
      }
    });
    input.addEventListener("blur", done);
    item.replaceChildren(input);
    input.focus();
    input.select();
  }

  async remove(id, title) {
    if (!(await confirmed(`Delete “${title}” for good? Its words, images, masks and report go, too.`))) return;
    await send(`sessions/${id}`, { method: "DELETE" });
    say("The session is deleted.");
    if (id === here.session) this.enter("");
    else await this.showSessions();
  }
}

function confirmed(question) {
  return new Promise((resolve) => {
    const dialog = make("dialog", { class: "overread-dialog", "aria-label": "Confirm" },
      make("p", {}, question),
      make("form", { method: "dialog" },
        make("button", { value: "yes", class: "danger" }, "Delete"),
        make("button", { value: "no" }, "Keep")));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
