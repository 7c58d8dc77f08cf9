// What the page asks the server for. Every path is below the session that is shown.

/** Work that takes longer is told of. */
export const MOMENT_MS = 300;

export const here = { session: "", user: "", facts: null };

export async function send(path, { method = "GET", body = null } = {}) {
  const headers = { "X-Overread": "1" };
  if (body !== null) headers["Content-Type"] = "application/json";
  const reply = await fetch(`/reading/${path}`, {
    method,
    headers,
    body: body === null ? null : JSON.stringify(body),
  }).catch(() => {
    throw new Error("Overread does not answer; is it still running?");
  });
  if (reply.ok) return reply;
  if (reply.status === 401) location.assign(`/login${location.hash}`);
  const told = await reply.json().catch(() => ({}));
  throw new Error(told.error ?? "The server did not answer as it should.");
}

export const inSession = (path, options) => send(`sessions/${here.session}/${path}`, options);

export async function getJson(path) {
  return (await send(path)).json();
}

let said = 0;

export function say(text, { error = false } = {}) {
  said++;
  show(text, error);
}

function show(text, error = false) {
  const box = document.getElementById("viewer-status");
  if (!box) return;
  box.textContent = text;
  box.classList.toggle("error", error);
}

const waits = new Set();

/** Waits for what is coming; the status line says what for, if that takes longer than a moment. */
export async function patiently(text, coming) {
  const [wait, before] = [{ text }, said];
  const timer = setTimeout(() => {
    waits.add(wait);
    if (said === before) show(text); // else there is something newer to read
  }, MOMENT_MS);
  try {
    return await coming;
  } finally {
    clearTimeout(timer);
    const shown = document.getElementById("viewer-status")?.textContent;
    if (waits.delete(wait) && shown === text) show([...waits].at(-1)?.text ?? "");
  }
}

/** Runs work for a click; a failure is one sentence in the status line. */
export function trying(work) {
  return async (...given) => {
    try {
      await work(...given);
    } catch (error) {
      say(error.message, { error: true });
    }
  };
}

/** Makes an element: attributes, then children (elements or texts). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
