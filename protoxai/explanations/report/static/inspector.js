// The inspector: which image, which map, which classes, and the panel beside it.

const LIVE_DELAY = 400;

/** Draw everything that depends on the state. */
function drawInspector() {
  const image = imageOf(state.image);
  const { row, column } = explainedPlace();
  const pixel = pixelAt(image, row, column, state.threshold);
  const active = document.activeElement;
  const key = active instanceof HTMLElement ? active.dataset.heat : undefined;
  drawStage();
  drawPanel(pixel);
  drawComparison(image, pixel);
  drawThreshold(image);
  drawChoices(image);
  announce(pixel);
  // The button that had the focus was drawn anew.
  if (key) /** @type {HTMLElement | null} */ (document.querySelector(`[data-heat="${key}"]`))?.focus();
}

/** @type {number | undefined} */
let announcement;

/**
 * Tell screen readers what the pixel is, once it rests.
 * @param {Pixel} pixel
 */
function announce({ row, column, scores }) {
  const [first, second] = ranking(scores);
  const texts = [first, second].filter((c) => c !== undefined).map((c) => `${data.classes[c].name} ${format(scores[c])}`);
  clearTimeout(announcement);
  announcement = setTimeout(() => {
    byId("live").textContent = `Row ${row}, column ${column}: ${texts.join(", then ")}`;
  }, LIVE_DELAY);
}

/**
 * Show which image and which view are chosen.
 * @param {DecodedImage} image
 */
function drawChoices(image) {
  for (const [number, element] of [...byId("pictures").children].entries()) {
    element.setAttribute("aria-pressed", String(number === state.image));
  }
  const known = { labels: image.labels, errors: image.labels, familiarity: image.familiarity };
  for (const element of byId("views").children) {
    const view = /** @type {View} */ (/** @type {HTMLElement} */ (element).dataset.view);
    element.setAttribute("aria-pressed", String(state.heat === null && view === state.view));
    /** @type {HTMLElement} */ (element).hidden = view in known && known[/** @type {"labels"} */ (view)] === null;
  }
  byId("pin-now").textContent = state.first === null ? "Pin" : state.second === null ? "Pin B" : "Pin B here";
  byId("release").hidden = state.first === null;
}

/** Fill the list of images. */
function fillPictures() {
  const buttons = data.images.map((image, number) => {
    const caption = make("span", { class: "caption" }, nameOf(image.name));
    if (image.share_right !== null) caption.append(make("span", { class: "note", text: `${percent(image.share_right)} right` }));
    const picture = make("img", { src: image.picture, alt: "" });
    return button({ class: "picture" }, () => chooseImage(number), picture, caption);
  });
  byId("pictures").replaceChildren(...buttons);
  byId("pictures").hidden = data.images.length < 2;
}

/**
 * Show another image, with the pixel in its middle, or the nearest one that is not of the most
 * frequent class: that is mostly background.
 * @param {number} number
 */
function chooseImage(number) {
  change({ image: number, at: firstPlace(imageOf(number)), first: null, second: null });
}

/**
 * Return the pixel that an image begins with.
 * @param {DecodedImage} image
 * @returns {Place}
 */
function firstPlace({ height, width, prediction }) {
  const counts = data.classes.map(() => 0);
  for (const label of prediction) counts[label] += 1;
  const most = counts.indexOf(Math.max(...counts));
  const middle = { row: Math.floor(height / 2), column: Math.floor(width / 2) };
  let best = middle;
  let least = Infinity;
  prediction.forEach((label, pixel) => {
    const row = Math.floor(pixel / width);
    const column = pixel % width;
    const distance = (row - middle.row) ** 2 + (column - middle.column) ** 2;
    if (label !== most && distance < least) [best, least] = [{ row, column }, distance];
  });
  return best;
}

/** Fill the lists of classes. */
function fillClasses() {
  const one = /** @type {HTMLSelectElement} */ (byId("one"));
  const other = /** @type {HTMLSelectElement} */ (byId("other"));
  one.append(new Option("the predicted class", "predicted"));
  other.append(new Option("the runner-up", "next"), new Option("nothing: its score alone", "none"));
  data.classes.forEach(({ name }, c) => {
    one.append(new Option(name, String(c)));
    other.append(new Option(name, String(c)));
  });
  one.addEventListener("change", () => {
    const value = one.value === "predicted" ? "predicted" : Number(one.value);
    change({ one: value, other: value === state.other ? "next" : state.other });
  });
  other.addEventListener("change", () => {
    const value = other.value === "next" || other.value === "none" ? other.value : Number(other.value);
    change({ other: value, one: value === state.one ? "predicted" : state.one });
  });
}

/** Let the buttons and the slider work. */
function listenOnControls() {
  for (const element of byId("views").children) {
    const view = /** @type {View} */ (/** @type {HTMLElement} */ (element).dataset.view);
    element.addEventListener("click", () => change({ view, heat: null }));
  }
  byId("pin").addEventListener("click", () => {
    if (state.first === null) pin();
    else change({ first: null, second: null });
  });
  byId("pin-now").addEventListener("click", pin);
  byId("release").addEventListener("click", unpin);
  byId("more").addEventListener("click", () => change({ all: !state.all }));
  if (!grouped) return;
  const slider = /** @type {HTMLInputElement} */ (byId("threshold"));
  slider.addEventListener("input", () => change({ threshold: Number(slider.value) }));
}

/**
 * Show what the threshold leaves of the model.
 * @param {DecodedImage} image
 */
function drawThreshold(image) {
  if (!grouped) return;
  const { threshold } = state;
  byId("threshold-value").textContent = format(threshold, { decimals: 2 });
  const all = new Set(members.map(({ prototype }) => prototype));
  const left = new Set(members.filter(({ weight }) => weight >= threshold).map(({ prototype }) => prototype));
  const smallest = Math.min(...members.map(({ weight }) => weight));
  const note = byId("threshold-note");
  if (threshold === 0) {
    note.textContent = members.length === 0 ? "" :
      `As stored: ${all.size} prototypes, the smallest weight is ${format(smallest, { decimals: 3 })}.`;
    return;
  }
  const before = gridClasses(image, 0);
  const after = gridClasses(image, threshold);
  const same = before.filter((own, cell) => own === after[cell]).length / before.length;
  note.textContent =
    `${left.size} of ${all.size} prototypes are left; ${percent(same)} of this image keeps its class.`;
}

/**
 * Show what the threshold changes at a pixel.
 * @param {Pixel} after
 * @param {[number, number | null]} pair
 */
function drawThresholdNote(after, [one, other]) {
  const note = byId("threshold-change");
  note.hidden = state.threshold === 0;
  if (state.threshold === 0) return;
  const before = pixelAt(imageOf(state.image), after.row, after.column);
  note.replaceChildren(
    `Weights below ${format(state.threshold, { decimals: 2 })} count as 0. `,
    scoreTitle(one, other), `: ${format(difference(before, one, other))} before, `,
    make("strong", { text: format(difference(after, one, other)) }), " now.",
  );
  if (before.predicted !== after.predicted) note.append(" Before, ", classTag(before.predicted), " was predicted.");
}

/** Start the inspector; there is none without images. */
function startInspector() {
  if (data.images.length === 0) return;
  fillPictures();
  fillClasses();
  listenOnStage();
  listenOnControls();
  listeners.push(drawInspector);
  chooseImage(0);
}
