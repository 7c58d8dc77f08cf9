// Masks over an image: coloured pictures of the image's own size.

// Okabe and Ito's colours, as the server's overlays.
export const PALETTE = [
  [86, 180, 233], [230, 159, 0], [0, 158, 115], [240, 228, 66], [204, 121, 167], [213, 94, 0],
];

/** Returns a canvas with the white pixels of a mask in a colour, the others clear. */
export async function fromPng(blob, colour) {
  const bitmap = await createImageBitmap(blob);
  const canvas = blank(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const picture = context.getImageData(0, 0, canvas.width, canvas.height);
  const data = picture.data;
  for (let i = 0; i < data.length; i += 4) {
    const inside = data[i] > 127;
    [data[i], data[i + 1], data[i + 2]] = colour;
    data[i + 3] = inside ? 255 : 0;
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

/** Returns the canvas of a mask that came as base64 of a PNG. */
export async function fromBase64(text, colour) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return fromPng(new Blob([bytes], { type: "image/png" }), colour);
}

/** Returns a mask as base64 of a PNG: white inside, black outside. */
export function toBase64(canvas) {
  const flat = blank(canvas.width, canvas.height);
  const context = flat.getContext("2d");
  const picture = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const data = picture.data;
  for (let i = 0; i < data.length; i += 4) {
    data[i] = data[i + 1] = data[i + 2] = data[i + 3] > 127 ? 255 : 0;
    data[i + 3] = 255;
  }
  context.putImageData(picture, 0, 0);
  return flat.toDataURL("image/png").split(",")[1];
}

export function blank(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** Returns [left, top, right, bottom] around what is set, and how many pixels are; null if none. */
export function extent(canvas) {
  const { width, height } = canvas;
  const data = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  let [left, top, right, bottom, count] = [width, height, -1, -1, 0];
  for (let i = 3, at = 0; i < data.length; i += 4, at++) {
    if (data[i] < 128) continue;
    const x = at % width;
    const y = (at - x) / width;
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = y;
    count++;
  }
  return count ? { box: [left, top, right, bottom], count } : null;
}

/** Draws the rim of a mask, one pixel of the mask wide, and a light filling. */
export function drawMask(context, canvas, place) {
  context.save();
  context.globalAlpha = 0.32;
  context.drawImage(canvas, place.x, place.y, place.width, place.height);
  context.globalAlpha = 1;
  context.drawImage(rimOf(canvas), place.x, place.y, place.width, place.height);
  context.restore();
}

const rims = new WeakMap();

export function changed(canvas) {
  rims.delete(canvas);
}

function rimOf(canvas) {
  if (rims.has(canvas)) return rims.get(canvas);
  const rim = blank(canvas.width, canvas.height);
  const context = rim.getContext("2d");
  const step = Math.max(1, Math.round(Math.max(canvas.width, canvas.height) / 400));
  context.drawImage(canvas, 0, 0);
  const inner = blank(canvas.width, canvas.height);
  const eroded = inner.getContext("2d");
  eroded.drawImage(canvas, 0, 0);
  eroded.globalCompositeOperation = "destination-in";
  for (const [x, y] of [[step, 0], [-step, 0], [0, step], [0, -step]]) eroded.drawImage(canvas, x, y);
  context.globalCompositeOperation = "destination-out";
  context.drawImage(inner, 0, 0);
  rims.set(canvas, rim);
  return rim;
}
