// Colours of maps, which people with any colour vision can read.

// Cividis in nine steps, from dark blue to yellow.
const CIVIDIS = [
  [0, 34, 78], [26, 56, 111], [67, 78, 108], [97, 101, 111], [124, 123, 120],
  [154, 148, 119], [188, 175, 111], [224, 203, 92], [254, 232, 56],
];
const FOR = [33, 113, 181];
const AGAINST = [191, 91, 23];

/** @typedef {[number, number, number, number]} Rgba */

/**
 * Return the colour of a share in [0, 1].
 * @param {number} share
 * @returns {Rgba}
 */
function sequential(share) {
  const place = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1);
  const first = Math.min(Math.floor(place), CIVIDIS.length - 2);
  const [r, g, b] = CIVIDIS[first].map((value, channel) => {
    return value + (place - first) * (CIVIDIS[first + 1][channel] - value);
  });
  return [r, g, b, 140 + 80 * share];
}

/**
 * Return the colour of a share in [-1, 1]: blue speaks for a class, orange against it.
 * @param {number} share
 * @returns {Rgba}
 */
function diverging(share) {
  const [r, g, b] = share < 0 ? AGAINST : FOR;
  return [r, g, b, 20 + 205 * Math.min(Math.abs(share), 1)];
}

/**
 * Return the red, green and blue of `#rrggbb`.
 * @param {string} colour
 */
function channels(colour) {
  return [1, 3, 5].map((start) => parseInt(colour.slice(start, start + 2), 16));
}

/**
 * Paint a colour for each value.
 * @param {HTMLCanvasElement} canvas
 * @param {number} rows
 * @param {number} columns
 * @param {(place: number) => Rgba | null} colour
 */
function paint(canvas, rows, columns, colour) {
  canvas.width = columns;
  canvas.height = rows;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const pixels = context.createImageData(columns, rows);
  for (let place = 0; place < rows * columns; place++) {
    const rgba = colour(place);
    if (rgba) pixels.data.set(rgba, 4 * place);
  }
  context.putImageData(pixels, 0, 0);
}
