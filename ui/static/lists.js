// The lists at the left: studies of the session, examples, and the user's sessions.

import { getJson, here, make, say, send, trying } from "./server.js";

/** Returns the series of a study as the viewer takes them. */
export function seriesOf(study) {
  const name = study.title ?? ([study.modality, study.body_part].filter(Boolean).join(" ") || "Image");
  return study.series.map((series, i) => ({
    id: `${study.id}/${series.id}`,
    title: study.series.length > 1 ? `${name} · series ${i + 1}` : name,
    modality: study.modality,
    images: series.images,
    date: study.date,
    question: study.question,
    prior: study.prior,
    study: study.id,
  }));
}

export class Lists {
  /** `open(series)` shows one; `enter(session)` opens a session ("" makes one). */
  constructor(root, { open, enter }) {
    this.open = open;
    this.enter = enter;
    this.studies = make("ul", { "aria-label": "Studies of this session" });
    this.examples = make("ul", { "aria-label": "Synthetic examples" });
    this.sessions = make("ul", { "aria-label": "Sessions" });
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
    const rows = (studies) => studies.flatMap(seriesOf).map((series) => this.row(series));
    const empty = make("li", { class: "none" }, "No images yet");
    const own = rows(facts.studies);
    this.studies.replaceChildren(...(own.length ? own : [empty]));
    this.examples.replaceChildren(...rows(facts.examples));
  }

  row(series) {
    const count = series.images.length;
    const told = [count > 1 ? `${count} images` : "", series.date ?? ""].filter(Boolean).join(" · ");
    return make("li", {},
      make("button", { type: "button", class: "study", "data-series": series.id, onclick: trying(() => this.open(series)) },
        make("span", { class: "what" }, series.title),
        ...(told ? [make("span", { class: "told" }, told)] : []),
      ));
  }

  mark(id) {
    for (const button of document.querySelectorAll("#studies .study")) {
      button.setAttribute("aria-current", String(button.dataset.series === id));
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
