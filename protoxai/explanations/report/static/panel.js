// The explanation of one pixel: scores, then the groups and prototypes behind them.

const SHOWN_CLASSES = 4;
const SHOWN_TERMS = 5;

/**
 * Draw the panel.
 * @param {Pixel} pixel
 */
function drawPanel(pixel) {
  drawPlace(pixel);
  drawScores(pixel);
  const pair = contrasted(pixel);
  drawChoice(pair);
  drawThresholdNote(pixel, pair);
  drawTerms(pixel, pair);
  drawPrototypes(pixel, pair);
  drawScales(pixel, pair);
}

/**
 * Show which pixel it is, and what is known of it.
 * @param {Pixel} pixel
 */
function drawPlace(pixel) {
  const { row, column, predicted, label, familiarity } = pixel;
  const pinned = state.first !== null;
  byId("place").textContent = `${pinned ? "Pixel A, row" : "Row"} ${row}, column ${column}`;
  byId("pin").textContent = pinned ? "Release" : "Pin this pixel";
  const facts = [make("span", {}, "Predicted ", classTag(predicted))];
  if (label !== null) {
    const right = label === predicted;
    const verdict = make("span", { class: right ? "right" : "wrong" });
    verdict.append(right ? "\u2713 as labelled" : "\u2717 labelled ", ...(right ? [] : [classTag(label)]));
    facts.push(verdict);
  }
  byId("facts").replaceChildren(...facts);
  const note = byId("familiar");
  note.hidden = familiarity === null;
  if (familiarity !== null) note.replaceChildren(...familiarText(familiarity, predicted));
}

/**
 * Return in words how familiar a pixel is.
 * @param {number} familiarity
 * @param {number} predicted
 */
function familiarText(familiarity, predicted) {
  const name = nameOf(data.classes[predicted].name);
  if (familiarity < 0.02) {
    return [make("strong", { text: "Unfamiliar: " }), "hardly any training pixel of ", name,
      " is this far from all prototypes of its class."];
  }
  return ["Closer to a prototype than ", percent(familiarity), " of the training pixels of ", name, "."];
}

/**
 * Show the classes with the highest scores.
 * @param {Pixel} pixel
 */
function drawScores({ scores }) {
  const order = ranking(scores);
  const top = scores[order[0]];
  const total = scores.reduce((sum, score) => sum + Math.exp(score - top), 0);
  const rows = order.slice(0, SHOWN_CLASSES).map((c) => {
    const share = Math.exp(scores[c] - top) / total;
    const bar = make("span", { class: "bar whole", "aria-hidden": "true" }, make("span", { class: "fill" }));
    /** @type {HTMLElement} */ (bar.firstChild).style.width = `${100 * share}%`;
    return make("tr", { "data-class": c },
      make("th", { scope: "row" }, classTag(c)),
      make("td", {}, bar),
      make("td", { class: "number", text: percent(share) }),
      make("td", { class: "number score", text: format(scores[c]) }),
    );
  });
  byId("scores").replaceChildren(...rows);
}

/**
 * Show which classes are contrasted.
 * @param {[number, number | null]} pair
 */
function drawChoice([one, other]) {
  const first = /** @type {HTMLSelectElement} */ (byId("one"));
  const second = /** @type {HTMLSelectElement} */ (byId("other"));
  first.options[0].text = `${data.classes[one].name} (predicted)`;
  if (state.one !== "predicted") first.options[0].text = "the predicted class";
  second.options[0].text = "the runner-up";
  if (state.other === "next" && other !== null) second.options[0].text = `${data.classes[other].name} (runner-up)`;
  first.value = String(state.one);
  second.value = String(state.other);
}

/**
 * Return the terms of the sum, the largest first: groups; in stage 1 the prototypes of each class.
 * @param {Pixel} pixel
 * @param {[number, number | null]} pair
 * @returns {{c: number, unit: number, value: number}[]}
 */
function termsOf(pixel, [one, other]) {
  const values = data.units.map(({ class_index: c }, unit) => ({
    c,
    unit,
    value: unitWeight(unit, one, other) * pixel.units[unit],
  }));
  const terms = grouped ? values : data.classes.map((_, c) => ({
    c,
    unit: -1,
    value: values.reduce((sum, entry) => sum + (entry.c === c ? entry.value : 0), 0),
  }));
  return largestFirst(terms.filter(({ value }) => value !== 0));
}

/**
 * Sort by how large values are.
 * @template {{value: number}} T
 * @param {T[]} entries
 */
function largestFirst(entries) {
  return entries.sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
}

/**
 * Show what adds up to the difference of two scores, or to one score.
 * @param {Pixel} pixel
 * @param {[number, number | null]} pair
 */
function drawTerms(pixel, pair) {
  const [one, other] = pair;
  const terms = termsOf(pixel, pair);
  const shown = state.all ? terms : terms.slice(0, SHOWN_TERMS);
  const hidden = terms.slice(shown.length);
  const rest = hidden.reduce((sum, { value }) => sum + value, 0);
  const base = data.base[one] - (other === null ? 0 : data.base[other]);
  const total = difference(pixel, one, other);
  const largest = Math.max(...terms.map(({ value }) => Math.abs(value)), Math.abs(rest), 1e-9);
  const items = shown.map(({ c, unit, value }) => termItem(pair, c, unit, value, largest));
  if (hidden.length > 0) {
    items.push(sumItem("others", `Others: ${hidden.length} ${termWord(hidden.length)}`, rest, largest));
  }
  if (grouped) items.push(sumItem("base", "Base", base, largest, baseText(one, other)));
  items.push(sumItem("total", other === null ? "Score" : "Sum: difference of the scores", total, 0));
  byId("terms").replaceChildren(...items);
  byId("verdict").replaceChildren(...verdict(one, other, total));
}

/**
 * Return what the terms of the sum are called.
 * @param {number} count
 */
function termWord(count) {
  if (!grouped) return count === 1 ? "class" : "classes";
  return count === 1 ? "group" : "groups";
}

/**
 * Return what the base is, in words.
 * @param {number} one
 * @param {number | null} other
 */
function baseText(one, other) {
  if (other === null) {
    return "The score where no prototype is active, so no evidence from this image. It is nearly the same for all classes: contrast two classes, and it cancels.";
  }
  const [a, b] = [one, other].map((c) => format(data.base[c]));
  return `Where no prototype is active, the two scores are ${a} and ${b}. What is alike cancels.`;
}

/**
 * Return in words which class is ahead.
 * @param {number} one
 * @param {number | null} other
 * @param {number} total
 */
function verdict(one, other, total) {
  const name = nameOf(data.classes[one].name);
  if (other === null) return [name, ` has the score ${format(total)}. These add up to it:`];
  const word = total >= 0 ? " is ahead of " : " is behind ";
  return [name, word, nameOf(data.classes[other].name), ` by ${format(Math.abs(total))}. These add up to it:`];
}

/**
 * Return a line of the sum that has no prototypes of its own.
 * @param {string} kind
 * @param {string} text
 * @param {number} value
 * @param {number} largest
 * @param {string} [note]
 */
function sumItem(kind, text, value, largest, note) {
  return make("li", { class: `sum ${kind}` },
    make("span", { class: "line" },
      make("span", { class: "what", text }),
      kind === "total" ? null : signedBar(value, largest),
      make("span", { class: "number", text: format(value, { sign: true }) }),
    ),
    note ? make("span", { class: "note", text: note }) : null,
  );
}

/**
 * Return a term of the sum.
 * @param {[number, number | null]} pair
 * @param {number} c
 * @param {number} unit
 * @param {number} value
 * @param {number} largest
 */
function termItem([one, other], c, unit, value, largest) {
  const name = grouped ? `, group ${data.units[unit].number}` : ", its prototypes";
  return make("li", { class: "term line", "data-unit": unit, "data-class": c },
    make("span", { class: "what" }, classTag(c), name),
    grouped ? heatButton("unit", unit, one, other, "Map") : make("span"),
    signedBar(value, largest),
    make("span", { class: "number", text: format(value, { sign: true }) }),
  );
}

/**
 * Return a button that shows or hides a map.
 * @param {Heat["kind"]} kind
 * @param {number} number
 * @param {number} one
 * @param {number | null} other
 * @param {string} text
 */
function heatButton(kind, number, one, other, text) {
  const key = `${kind}-${number}`;
  const element = button({ class: "heat", text, "data-heat": key }, () => {
    const same = state.heat?.kind === kind && state.heat.number === number;
    change({ heat: same ? null : { kind, number, one, other } });
  });
  element.setAttribute("aria-pressed", String(key === heatKey()));
  return element;
}

/** Return the name of the map that is shown; nothing if there is none. */
function heatKey() {
  return state.heat === null ? "" : `${state.heat.kind}-${state.heat.number}`;
}

/**
 * Show how much each scale contributes.
 * @param {Pixel} pixel
 * @param {[number, number | null]} pair
 */
function drawScales(pixel, [one, other]) {
  const values = Array.from({ length: data.scales }, (_, s) => scaleEvidence(pixel.parts, s, one, other));
  const largest = Math.max(...values.map(Math.abs), 1e-9);
  const items = values.map((value, scale) =>
    make("li", { class: "line" },
      heatButton("scale", scale, one, other, scaleName(scale)),
      signedBar(value, largest),
      make("span", { class: "number", text: format(value, { sign: true }) }),
    ),
  );
  byId("scales").replaceChildren(...items);
}
