// Values of images, kept in memory alone, and their grey levels under a window.

import { here, inSession } from "./server.js";

const KEPT_BYTES = 256 * 1024 * 1024;
const kept = new Map();
let keptBytes = 0;

export function forgetAll() {
  kept.clear();
  keptBytes = 0;
}

/** Returns { plane, values }; asked for twice it is fetched once. */
export function load(ref) {
  const key = `${here.session} ${ref}`;
  if (!kept.has(key)) {
    const coming = fetchPlane(ref);
    kept.set(key, coming);
    coming.then(
      (loaded) => keep(loaded.values.byteLength),
      () => kept.delete(key),
    );
  }
  const found = kept.get(key);
  kept.delete(key);
  kept.set(key, found);
  return found;
}

function keep(bytes) {
  keptBytes += bytes;
  for (const [key, coming] of kept) {
    if (keptBytes <= KEPT_BYTES || kept.size < 3) break;
    kept.delete(key);
    coming.then((loaded) => (keptBytes -= loaded.values.byteLength), () => {});
  }
}

async function fetchPlane(ref) {
  const reply = await inSession(`pixels/${ref}`);
  const plane = JSON.parse(reply.headers.get("X-Overread-Plane"));
  const data = await reply.arrayBuffer();
  const values = plane.colour ? new Uint8Array(data) : new Uint16Array(data);
  return { plane, values };
}

/** Draws values under a window (centre, width) into a canvas of the plane's size. */
export function paint({ plane, values }, [centre, width], canvas) {
  const { rows, columns } = plane;
  canvas.width = columns;
  canvas.height = rows;
  const picture = new ImageData(columns, rows);
  const out = new Uint32Array(picture.data.buffer);
  if (plane.colour) {
    const level = levels(256, 1, 0, [centre, width], false);
    for (let i = 0, j = 0; i < out.length; i++, j += 3) {
      out[i] = 0xff000000 | (level[values[j + 2]] << 16) | (level[values[j + 1]] << 8) | level[values[j]];
    }
  } else {
    const level = levels(65536, plane.slope, plane.offset, [centre, width], plane.inverted);
    for (let i = 0; i < out.length; i++) out[i] = 0xff000000 | (level[values[i]] * 0x010101);
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

// The linear window of DICOM PS3.3, C.11.2.1.2.1, as the server draws it.
function levels(count, slope, offset, [centre, width], inverted) {
  const table = new Uint8ClampedArray(count);
  const scale = Math.max(width - 1, 1e-6);
  for (let i = 0; i < count; i++) {
    const grey = (i * slope + offset - (centre - 0.5)) / scale + 0.5;
    table[i] = Math.round((inverted ? 1 - Math.min(Math.max(grey, 0), 1) : grey) * 255);
  }
  return table;
}
