// Where the outlines of a piece of evidence are unsure, over the image in a pane.

import { inSession, patiently, say } from "./server.js";

/** Returns a picture of where the segmenter is unsure, and what is told beside it. */
export async function askDoubt(path, options) {
  const reply = await patiently("Asking how sure the segmenter is…", inSession(path, options));
  const told = JSON.parse(reply.headers.get("X-Overread-Quality"));
  return [await createImageBitmap(await reply.blob()), told];
}

/** Lays it there, or takes it away; `stands(evidence)` tells, at any time, whether it is still wanted. */
export async function layDoubts(pane, evidence, stands) {
  pane.layers = pane.layers.filter((layer) => !layer.doubt);
  if (stands(evidence) && pane.layers.some((layer) => layer.mask)) {
    const [heat, told] = await askDoubt(`evidence/${evidence.id}/uncertainty`);
    if (!stands(evidence) || !pane.layers.some((layer) => layer.mask)) return; // the reader went on
    pane.layers = pane.layers.filter((layer) => !layer.doubt);
    pane.layers.push({ ref: evidence.image, name: "unsure", heat, doubt: true });
    const each = Object.entries(told).map(([name, dice]) => `${name} ${dice.toFixed(2)}`);
    say(`${evidence.id}: expected Dice of ${each.join(", ")}; bright: unsure`);
  }
  pane.lay(pane.layers);
}
