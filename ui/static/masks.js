// Masks over an image: which of its pixels are inside, and the coloured picture of that.

// Okabe and Ito's colours, as the server's overlays.
export const PALETTE = [
  [86, 180, 233], [230, 159, 0], [0, 158, 115], [240, 228, 66], [204, 121, 167], [213, 94, 0],
];
const FILLING = 82; // of 255: how strongly the inside of a mask is tinted
const RIMS_ACROSS = 400; // the rim is this part of the longer side wide

export class Mask {
  /** `inside` holds 0 or 1 for each pixel, row by row. */
  constructor(width, height, colour, inside = new Uint8Array(width * height)) {
    Object.assign(this, { width, height, colour, inside });
    this.rim = Math.max(1, Math.round(Math.max(width, height) / RIMS_ACROSS));
    this.picture = null;
  }

  /** Returns a copy to be changed. The picture goes along: it is the copy that is shown from now on. */
  copy() {
    const copy = new Mask(this.width, this.height, this.colour, this.inside.slice());
    [copy.picture, this.picture] = [this.picture, null];
    return copy;
  }

  /** Sets (1) or clears (0) what a round brush covers on its way between two places. */
  stroke([x0, y0], [x1, y1], thickness, value) {
    const radius = thickness / 2;
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length = dx * dx + dy * dy || 1;
    const area = this.clip(Math.min(x0, x1) - radius, Math.min(y0, y1) - radius,
      Math.max(x0, x1) + radius, Math.max(y0, y1) + radius);
    const [left, top, right, bottom] = area;
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        const [px, py] = [x + 0.5 - x0, y + 0.5 - y0];
        const along = Math.min(Math.max((px * dx + py * dy) / length, 0), 1);
        const [ex, ey] = [px - along * dx, py - along * dy];
        if (ex * ex + ey * ey <= radius * radius) this.inside[y * this.width + x] = value;
      }
    }
    // The rim of what lies around the stroke has changed, too.
    if (this.picture) this.paint(this.clip(left - this.rim, top - this.rim, right + this.rim, bottom + this.rim));
  }

  clip(left, top, right, bottom) {
    return [
      Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top)),
      Math.min(this.width - 1, Math.ceil(right)), Math.min(this.height - 1, Math.ceil(bottom)),
    ];
  }

  /** Returns [left, top, right, bottom] around what is inside, and how many pixels are; null if none. */
  extent() {
    const { width, height, inside } = this;
    let [left, top, right, bottom, count] = [width, height, -1, -1, 0];
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) {
        if (!inside[i]) continue;
        if (x < left) left = x;
        if (x > right) right = x;
        if (y < top) top = y;
        bottom = y;
        count++;
      }
    }
    return count ? { box: [left, top, right, bottom], count } : null;
  }

  /** Draws the rim and a light filling. */
  draw(context, place) {
    if (!this.picture) {
      this.picture = blank(this.width, this.height);
      const found = this.extent();
      if (found) this.paint(found.box);
    }
    context.drawImage(this.picture, place.x, place.y, place.width, place.height);
  }

  /** Brings a part of the picture up to date. */
  paint([left, top, right, bottom]) {
    if (right < left || bottom < top) return;
    const { width, height, inside, rim } = this;
    const part = new ImageData(right - left + 1, bottom - top + 1);
    const out = new Uint32Array(part.data.buffer);
    const [red, green, blue] = this.colour;
    const colour = red | (green << 8) | (blue << 16);
    const [filling, edge] = [(colour | (FILLING << 24)) >>> 0, (colour | (255 << 24)) >>> 0];
    for (let y = top, at = 0; y <= bottom; y++) {
      for (let x = left, i = y * width + left; x <= right; x++, i++, at++) {
        if (!inside[i]) continue;
        const within =
          x >= rim && inside[i - rim] && x + rim < width && inside[i + rim] &&
          y >= rim && inside[i - rim * width] && y + rim < height && inside[i + rim * width];
        out[at] = within ? filling : edge;
      }
    }
    this.picture.getContext("2d").putImageData(part, left, top);
  }

  /** Returns the mask as base64 of a PNG: white inside, black outside. */
  toBase64() {
    const canvas = blank(this.width, this.height);
    const picture = new ImageData(this.width, this.height);
    const out = new Uint32Array(picture.data.buffer);
    for (let i = 0; i < out.length; i++) out[i] = this.inside[i] ? 0xffffffff : 0xff000000;
    canvas.getContext("2d").putImageData(picture, 0, 0);
    return canvas.toDataURL("image/png").split(",")[1];
  }
}

/** Returns the mask of a PNG: its white pixels are inside. */
export async function fromPng(blob, colour) {
  const bitmap = await createImageBitmap(blob);
  const { width, height } = bitmap;
  const context = blank(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const mask = new Mask(width, height, colour);
  for (let i = 0; i < mask.inside.length; i++) mask.inside[i] = data[4 * i] > 127 ? 1 : 0;
  return mask;
}

/** Returns the mask that came as base64 of a PNG. */
export async function fromBase64(text, colour) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  return fromPng(new Blob([bytes], { type: "image/png" }), colour);
}

export function blank(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}
