// Two pixels side by side.

const COMPARED = 4;

/**
 * Draw the comparison of the pinned pixel with another one.
 * @param {DecodedImage} image
 * @param {Pixel} first
 */
function drawComparison(image, first) {
  const place = state.second;
  byId("compare-hint").hidden = state.first === null || place !== null;
  byId("compare-table").hidden = place === null;
  if (place === null) return;
  const second = pixelAt(image, place.row, place.column, state.threshold);
  const [one, other] = contrasted(first);
  const rows = [
    plainRow("Place", `${first.row}, ${first.column}`, `${second.row}, ${second.column}`),
    tagRow("Predicted", classTag(first.predicted), classTag(second.predicted)),
    numberRow(scoreTitle(one, other), difference(first, one, other), difference(second, one, other)),
    headRow(grouped ? "Groups, evidence" : "Prototypes, evidence"),
    ...unitRows(first, second, one, other),
    ...(grouped ? [headRow("Prototypes, activation"), ...activationRows(first, second)] : []),
  ];
  byId("compared").replaceChildren(...rows);
}

/**
 * Return the score of a class, less that of another.
 * @param {Pixel} pixel
 * @param {number} one
 * @param {number | null} other
 */
function difference({ scores }, one, other) {
  return scores[one] - (other === null ? 0 : scores[other]);
}

/**
 * Return the title of a score.
 * @param {number} one
 * @param {number | null} other
 */
function scoreTitle(one, other) {
  const title = make("span", {}, "Score of ", classTag(one));
  if (other !== null) title.append(" less that of ", classTag(other));
  return title;
}

/**
 * Return the units whose evidence differs most.
 * @param {Pixel} first
 * @param {Pixel} second
 * @param {number} one
 * @param {number | null} other
 */
function unitRows(first, second, one, other) {
  const rows = data.units.map((_, unit) => {
    const weight = unitWeight(unit, one, other);
    return { unit, a: weight * first.units[unit], b: weight * second.units[unit] };
  });
  rows.sort((x, y) => Math.abs(y.a - y.b) - Math.abs(x.a - x.b));
  return rows.slice(0, COMPARED).map(({ unit, a, b }) => {
    const { class_index: own, number } = data.units[unit];
    const name = grouped ? `, group ${number}` : `, #${data.prototypes[unit].index}`;
    return numberRow(make("span", {}, classTag(own), name), a, b);
  });
}

/**
 * Return the prototypes whose activation differs most.
 * @param {Pixel} first
 * @param {Pixel} second
 */
function activationRows({ activations: a }, { activations: b }) {
  const order = [...a.keys()].sort((x, y) => Math.abs(a[y] - b[y]) - Math.abs(a[x] - b[x]));
  return order.slice(0, COMPARED).map((p) => {
    const { index, class_index: own } = data.prototypes[p];
    return numberRow(make("span", {}, classTag(own), `, #${index}`), a[p], b[p]);
  });
}

/**
 * Return a row of two numbers and their difference.
 * @param {Node} title
 * @param {number} a
 * @param {number} b
 */
function numberRow(title, a, b) {
  return make("tr", {},
    make("th", { scope: "row" }, title),
    ...[format(a), format(b), format(b - a, { sign: true })].map((text) => make("td", { class: "number", text })),
  );
}

/**
 * Return a row of two texts.
 * @param {string} title
 * @param {string} a
 * @param {string} b
 */
function plainRow(title, a, b) {
  return tagRow(title, make("span", { text: a }), make("span", { text: b }));
}

/**
 * Return a row of two elements.
 * @param {string} title
 * @param {Node} a
 * @param {Node} b
 */
function tagRow(title, a, b) {
  return make("tr", {},
    make("th", { scope: "row", text: title }), make("td", {}, a), make("td", {}, b), make("td"));
}

/**
 * Return a row that heads those below it.
 * @param {string} text
 */
function headRow(text) {
  return make("tr", { class: "part" }, make("th", { scope: "colgroup", colspan: 4, text }));
}
