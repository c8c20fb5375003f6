// What is shown, and who has to know when it changes.

/**
 * A map over the image.
 * @typedef {{kind: "prototype" | "unit" | "scale", number: number, one: number,
 *   other: number | null}} Heat
 * @typedef {"photo" | "prediction" | "labels" | "errors" | "familiarity" | "difference"} View
 * @typedef {{row: number, column: number}} Place
 */

const state = {
  image: 0,
  /** @type {Place} The pixel under the pointer, or where the keys moved to. */
  at: { row: 0, column: 0 },
  /** @type {Place | null} */
  first: null,
  /** @type {Place | null} */
  second: null,
  /** @type {number | "predicted"} */
  one: "predicted",
  /** @type {number | "next" | "none"} */
  other: "next",
  /** @type {View} */
  view: "photo",
  /** @type {Heat | null} */
  heat: null,
  threshold: 0,
  all: false,
};

/** @type {(() => void)[]} */
const listeners = [];
let scheduled = false;

/**
 * Change what is shown; the page is drawn with the next frame.
 * @param {Partial<typeof state>} changes
 */
function change(changes) {
  Object.assign(state, changes);
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    for (const listener of listeners) listener();
  });
}

/** Return the pixel that the panel explains: the pinned one, or that under the pointer. */
function explainedPlace() {
  return state.first ?? state.at;
}

/**
 * Return whether two pixels are the same.
 * @param {Place} one
 * @param {Place} other
 */
function samePlace(one, other) {
  return one.row === other.row && one.column === other.column;
}

/**
 * Return the classes that are contrasted at a pixel; null instead of the second for one class.
 * @param {Pixel} pixel
 * @returns {[number, number | null]}
 */
function contrasted(pixel) {
  const one = state.one === "predicted" ? pixel.predicted : state.one;
  if (state.other === "none" || C === 1) return [one, null];
  if (state.other !== "next") return [one, state.other];
  const next = ranking(pixel.scores).find((c) => c !== one);
  return [one, next ?? null];
}

/** Pin the pixel under the pointer: the first time to explain it, the second to compare it. */
function pin() {
  if (state.first === null) change({ first: state.at });
  else if (samePlace(state.at, state.first)) change({ first: null, second: null });
  else if (state.second !== null && samePlace(state.at, state.second)) change({ second: null });
  else change({ second: state.at });
}

/** Release the pixel that was pinned last. */
function unpin() {
  change(state.second !== null ? { second: null } : { first: null });
}
