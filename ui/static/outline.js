// What a reader has drawn on one image and not yet accepted: prompts, their mask, the steps back.

const STEPS_BACK = 30;

export class Outline {
  constructor(ref) {
    this.ref = ref;
    this.past = [];
    this.awaited = 0; // the number of the request whose answer is still wanted; 0: none is
    this.carried = null; // masks by image, once carried through the series
    Object.assign(this, {
      points: [], box: null, strokes: [], mask: null, corrected: null, assisted: false, pixels: 0,
      size: "", told: "",
      doubt: null, // a picture of where the segmenter is unsure, once it was asked for
    });
  }

  get isEmpty() {
    return !this.mask && !this.hasPrompts;
  }

  get hasPrompts() {
    return this.points.length + this.strokes.length > 0 || this.box !== null;
  }

  /** Keeps the present state, to which one step back returns. */
  remember() {
    const { mask, corrected, assisted, pixels, size, told, doubt, box } = this;
    const [points, strokes, waited] = [[...this.points], [...this.strokes], this.awaited !== 0];
    this.past.push({ points, strokes, box, mask, corrected, assisted, pixels, size, told, doubt, waited });
    if (this.past.length > STEPS_BACK) this.past.shift();
    this.carried = this.doubt = null; // they were of the outline before
  }

  /** Goes one step back. Returns whether the segmenter was still at work on that step. */
  undo() {
    const { waited, ...before } = this.past.pop();
    Object.assign(this, before, { carried: null, awaited: 0 });
    return waited && this.hasPrompts;
  }

  /** Returns what the segmenter is asked. */
  prompts() {
    const { ref, points, box, strokes, corrected } = this;
    return { image: ref, points, box, strokes, previous: corrected?.toBase64() ?? null };
  }

  /** Takes a mask by hand: what was asked before is spent, and the segmenter corrects this from now on. */
  paintOver(mask) {
    this.remember();
    Object.assign(this, { mask, corrected: mask, points: [], box: null, strokes: [], awaited: 0 });
  }

  /** The mask on an image of the series: drawn there, or carried there. */
  maskOn(ref) {
    return ref === this.ref ? this.mask : this.carried?.get(ref);
  }
}
