// The page's data, and the arrays in it.

/**
 * @typedef {{name: string, colour: string}} PageClass
 * @typedef {{class_index: number, number: number, members: number[], weights: number[]}} PageUnit
 * @typedef {{rows: number, columns: number, values: string}} PageOverlay
 * @typedef {[number, number, number, number]} Box
 * @typedef {{source: string, size: [number, number], box: Box | null, cell: Box | null,
 *   activation: PageOverlay | null}} PagePicture
 * @typedef {{index: number, class_index: number, scale: number, active: boolean,
 *   image_id: string | null, picture: PagePicture | null}} PagePrototype
 * @typedef {{rows: number, columns: number, bits: number, low: number[], step: number[],
 *   values: string}} PageMaps
 * @typedef {{name: string, size: [number, number], picture: string, maps: PageMaps,
 *   prediction: string, labels: string | null, familiarity: string | null,
 *   share_right: number | null}} PageImage
 * @typedef {{stage: number, scales: number, classes: PageClass[], units: PageUnit[],
 *   last_layer: string, base: number[], prototypes: PagePrototype[], images: PageImage[],
 *   logit_error: number, decimals: number, left_out: number, pictures: boolean}} PageData
 */

const IGNORED = 65535;

/** @type {PageData} */
const data = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent);

/**
 * Return the bytes of a base64 text.
 * @param {string} text
 */
function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/**
 * Return 32-bit numbers.
 * @param {string} text
 */
function floatsOf(text) {
  return new Float32Array(bytesOf(text).buffer);
}

/**
 * Return the value of each pixel from runs of equal values.
 * @param {string} text
 * @param {number} count
 */
function runsOf(text, count) {
  const runs = new Uint16Array(bytesOf(text).buffer);
  const values = new Uint16Array(count);
  let at = 0;
  for (let run = 0; run < runs.length; run += 2) {
    values.fill(runs[run], at, at + runs[run + 1]);
    at += runs[run + 1];
  }
  return values;
}

/**
 * Return the steps of all maps.
 * @param {PageMaps} maps
 */
function stepsOf({ bits, values }) {
  const { buffer } = bytesOf(values);
  if (bits === 32) return new Uint32Array(buffer);
  return bits === 16 ? new Uint16Array(buffer) : new Uint8Array(buffer);
}

/**
 * @typedef {{page: PageImage, height: number, width: number, rows: number, columns: number,
 *   steps: Uint8Array | Uint16Array | Uint32Array, prediction: Uint16Array, labels: Uint16Array | null,
 *   familiarity: Uint16Array | null, gridScores: {threshold: number, scores: Float32Array} | null}}
 *   DecodedImage
 */

/** @type {Map<number, DecodedImage>} */
const decodedImages = new Map();

/**
 * Return an image with its maps; they are decoded when they are first used.
 * @param {number} index
 * @returns {DecodedImage}
 */
function imageOf(index) {
  const known = decodedImages.get(index);
  if (known) return known;
  const page = data.images[index];
  const [height, width] = page.size;
  const pixels = height * width;
  const image = {
    page,
    height,
    width,
    rows: page.maps.rows,
    columns: page.maps.columns,
    steps: stepsOf(page.maps),
    prediction: runsOf(page.prediction, pixels),
    labels: page.labels === null ? null : runsOf(page.labels, pixels),
    familiarity: page.familiarity === null ? null : runsOf(page.familiarity, pixels),
    gridScores: null,
  };
  decodedImages.set(index, image);
  return image;
}
