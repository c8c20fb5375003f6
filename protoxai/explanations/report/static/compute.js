// The model's arithmetic: what each pixel's scores are made of.

const C = data.classes.length;
const N = data.units.length;
const P = data.prototypes.filter((prototype) => prototype.active).length;
const lastLayer = floatsOf(data.last_layer);
const grouped = data.stage === 2;

/**
 * The places of all units' prototypes, one after the other.
 * @type {{unit: number, prototype: number, weight: number}[]}
 */
const members = data.units.flatMap((unit, number) =>
  unit.members.map((prototype, place) => ({ unit: number, prototype, weight: unit.weights[place] })),
);

/** @type {number[][]} Members of each unit. */
const membersOfUnit = data.units.map(() => []);
members.forEach((member, number) => membersOfUnit[member.unit].push(number));

/** @type {number[][]} The members that each prototype is, by its place. */
const membersOfPrototype = data.prototypes.map(() => []);
members.forEach(({ prototype }, number) => membersOfPrototype[prototype].push(number));

/**
 * What the page knows of a pixel.
 * @typedef {{row: number, column: number, cell: [number, number], predicted: number,
 *   label: number | null, familiarity: number | null, scores: Float64Array, units: Float64Array,
 *   parts: Float64Array, activations: Float64Array}} Pixel
 */

/**
 * Return the activation of a prototype at a cell.
 * @param {DecodedImage} image
 * @param {number} prototype
 * @param {number} cell
 */
function activationAt(image, prototype, cell) {
  const { low, step } = image.page.maps;
  const place = prototype * image.rows * image.columns + cell;
  return low[prototype] + step[prototype] * image.steps[place];
}

/**
 * Return the cell that a pixel's centre lies in.
 * @param {number} at
 * @param {number} size
 * @param {number} cells
 */
function cellOf(at, size, cells) {
  return Math.floor(((2 * at + 1) * cells) / (2 * size));
}

/**
 * Return the two neighbouring cells of a pixel and the share of the second.
 * @param {number} at
 * @param {number} size
 * @param {number} cells
 * @returns {[number, number, number]}
 */
function neighbours(at, size, cells) {
  const place = Math.max(((at + 0.5) * cells) / size - 0.5, 0);
  const first = Math.min(Math.floor(place), cells - 1);
  return [first, Math.min(first + 1, cells - 1), place - first];
}

/**
 * Add what a cell's units and their prototypes are worth before the last layer.
 * @param {DecodedImage} image
 * @param {number} cell
 * @param {number} share
 * @param {number} threshold
 * @param {Float64Array} units
 * @param {Float64Array | null} parts
 */
function addCell(image, cell, share, threshold, units, parts) {
  for (let unit = 0; unit < N; unit++) {
    let sum = 0;
    for (const number of membersOfUnit[unit]) {
      const { prototype, weight } = members[number];
      if (weight >= threshold) sum += weight * activationAt(image, prototype, cell);
    }
    // A group's score is exp(sum), which is 1 where nothing is active.
    const worth = grouped ? Math.expm1(sum) : sum;
    units[unit] += share * worth;
    if (!parts) continue;
    const slope = sum === 0 ? 1 : worth / sum;
    for (const number of membersOfUnit[unit]) {
      const { prototype, weight } = members[number];
      if (weight < threshold) continue;
      parts[number] += share * slope * weight * activationAt(image, prototype, cell);
    }
  }
}

/**
 * Return the scores of all classes.
 * @param {Float64Array} units
 */
function scoresOf(units) {
  const scores = new Float64Array(C);
  for (let c = 0; c < C; c++) {
    scores[c] = data.base[c];
    for (let unit = 0; unit < N; unit++) scores[c] += lastLayer[c * N + unit] * units[unit];
  }
  return scores;
}

/**
 * Return everything that is known of a pixel.
 * @param {DecodedImage} image
 * @param {number} row
 * @param {number} column
 * @param {number} threshold Weights below it count as 0.
 * @returns {Pixel}
 */
function pixelAt(image, row, column, threshold = 0) {
  const [top, bottom, down] = neighbours(row, image.height, image.rows);
  const [left, right, across] = neighbours(column, image.width, image.columns);
  const units = new Float64Array(N);
  const parts = new Float64Array(members.length);
  for (const [cellRow, rowShare] of [[top, 1 - down], [bottom, down]]) {
    for (const [cellColumn, columnShare] of [[left, 1 - across], [right, across]]) {
      const share = rowShare * columnShare;
      const cell = cellRow * image.columns + cellColumn;
      if (share > 0) addCell(image, cell, share, threshold, units, parts);
    }
  }
  /** @type {[number, number]} */
  const cell = [
    cellOf(row, image.height, image.rows),
    cellOf(column, image.width, image.columns),
  ];
  const activations = new Float64Array(P);
  const place = cell[0] * image.columns + cell[1];
  for (let p = 0; p < P; p++) activations[p] = activationAt(image, p, place);
  const at = row * image.width + column;
  const label = image.labels === null || image.labels[at] === IGNORED ? null : image.labels[at];
  const familiarity = image.familiarity === null ? null : image.familiarity[at] / 255;
  const scores = scoresOf(units);
  const predicted = threshold > 0 ? ranking(scores)[0] : image.prediction[at];
  return { row, column, cell, predicted, label, familiarity, scores, units, parts, activations };
}

/**
 * Return the classes by decreasing score.
 * @param {Float64Array} scores
 */
function ranking(scores) {
  return [...scores.keys()].sort((one, other) => scores[other] - scores[one] || one - other);
}

/**
 * Return the weight of a unit for one class against another, or for one class alone.
 * @param {number} unit
 * @param {number} one
 * @param {number | null} other
 */
function unitWeight(unit, one, other) {
  return lastLayer[one * N + unit] - (other === null ? 0 : lastLayer[other * N + unit]);
}

/**
 * Return the scores (classes, cells) of an image.
 * @param {DecodedImage} image
 * @param {number} threshold
 */
function gridScores(image, threshold) {
  if (image.gridScores?.threshold === threshold) return image.gridScores.scores;
  const cells = image.rows * image.columns;
  const scores = new Float32Array(C * cells);
  const units = new Float64Array(N);
  for (let cell = 0; cell < cells; cell++) {
    units.fill(0);
    addCell(image, cell, 1, threshold, units, null);
    scoresOf(units).forEach((score, c) => (scores[c * cells + cell] = score));
  }
  image.gridScores = { threshold, scores };
  return scores;
}

/**
 * Return the class of each cell.
 * @param {DecodedImage} image
 * @param {number} threshold
 */
function gridClasses(image, threshold) {
  const cells = image.rows * image.columns;
  const scores = gridScores(image, threshold);
  return Uint16Array.from({ length: cells }, (_, cell) => {
    let best = 0;
    for (let c = 1; c < C; c++) if (scores[c * cells + cell] > scores[best * cells + cell]) best = c;
    return best;
  });
}

/**
 * Return the activation of a prototype at each cell.
 * @param {DecodedImage} image
 * @param {number} prototype
 */
function prototypeMap(image, prototype) {
  const cells = image.rows * image.columns;
  return Float32Array.from({ length: cells }, (_, cell) => activationAt(image, prototype, cell));
}

/**
 * Return the evidence of a unit for its own class at each cell.
 * @param {DecodedImage} image
 * @param {number} unit
 * @param {number} threshold
 */
function unitMap(image, unit, threshold) {
  return evidenceMap(image, threshold, (units) => {
    return unitWeight(unit, data.units[unit].class_index, null) * units[unit];
  });
}

/**
 * Return the evidence of one scale's prototypes for a class against another at each cell.
 * @param {DecodedImage} image
 * @param {number} scale
 * @param {number} one
 * @param {number | null} other
 * @param {number} threshold
 */
function scaleMap(image, scale, one, other, threshold) {
  return evidenceMap(image, threshold, (_, parts) => scaleEvidence(parts, scale, one, other));
}

/**
 * Return the evidence of one scale's prototypes for a class against another.
 * @param {Float64Array} parts
 * @param {number} scale
 * @param {number} one
 * @param {number | null} other
 */
function scaleEvidence(parts, scale, one, other) {
  let sum = 0;
  members.forEach(({ unit, prototype }, number) => {
    if (data.prototypes[prototype].scale !== scale) return;
    sum += unitWeight(unit, one, other) * parts[number];
  });
  return sum;
}

/**
 * Return a value of each cell that depends on its units and parts.
 * @param {DecodedImage} image
 * @param {number} threshold
 * @param {(units: Float64Array, parts: Float64Array) => number} value
 */
function evidenceMap(image, threshold, value) {
  const units = new Float64Array(N);
  const parts = new Float64Array(members.length);
  return Float32Array.from({ length: image.rows * image.columns }, (_, cell) => {
    units.fill(0);
    parts.fill(0);
    addCell(image, cell, 1, threshold, units, parts);
    return value(units, parts);
  });
}

/**
 * Return the score of one class less that of another at each cell.
 * @param {DecodedImage} image
 * @param {number} one
 * @param {number | null} other
 * @param {number} threshold
 */
function differenceMap(image, one, other, threshold) {
  const cells = image.rows * image.columns;
  const scores = gridScores(image, threshold);
  return Float32Array.from({ length: cells }, (_, cell) => {
    return scores[one * cells + cell] - (other === null ? 0 : scores[other * cells + cell]);
  });
}
