// The image, the map over it, and the pixel that is looked at.

const stage = byId("stage");
const photo = /** @type {HTMLImageElement} */ (byId("photo"));
const overlay = /** @type {HTMLCanvasElement} */ (byId("overlay"));
const MASK_ALPHA = 165;

/** Draw the stage. */
function drawStage() {
  const image = imageOf(state.image);
  stage.style.setProperty("--ratio", String(image.width / image.height));
  if (photo.dataset.image !== String(state.image)) {
    photo.src = image.page.picture;
    photo.dataset.image = String(state.image);
    stage.setAttribute("aria-label", `Image ${image.page.name}. Arrow keys move the pixel.`);
  }
  drawOverlay(image);
  drawMarker(byId("cursor"), image, state.at);
  drawMarker(byId("pin-a"), image, state.first);
  drawMarker(byId("pin-b"), image, state.second);
}

/**
 * Place a marker over the cell of a pixel, with a point where the pixel is.
 * @param {HTMLElement} marker
 * @param {DecodedImage} image
 * @param {Place | null} place
 */
function drawMarker(marker, image, place) {
  marker.hidden = place === null;
  if (place === null) return;
  const row = cellOf(place.row, image.height, image.rows);
  const column = cellOf(place.column, image.width, image.columns);
  marker.style.top = `${(100 * row) / image.rows}%`;
  marker.style.left = `${(100 * column) / image.columns}%`;
  marker.style.height = `${100 / image.rows}%`;
  marker.style.width = `${100 / image.columns}%`;
  const down = ((place.row + 0.5) * image.rows) / image.height - row;
  const across = ((place.column + 0.5) * image.columns) / image.width - column;
  marker.style.setProperty("--down", `${100 * down}%`);
  marker.style.setProperty("--across", `${100 * across}%`);
}

/** What the overlay shows, so that it is painted only when this changes. */
let painted = "";

/**
 * Paint the map that is chosen, and its legend.
 * @param {DecodedImage} image
 */
function drawOverlay(image) {
  const wanted = JSON.stringify([state.image, state.view, state.heat, state.threshold, overlayPair(image)]);
  if (wanted === painted) return;
  painted = wanted;
  overlay.classList.toggle("cells", state.heat?.kind === "prototype" || state.view === "familiarity");
  byId("fires").hidden = true;
  if (state.heat !== null) paintHeat(image, state.heat);
  else paintView(image);
}

/**
 * Return the classes of the difference map; null for other maps.
 * @param {DecodedImage} image
 * @returns {[number, number | null] | null}
 */
function overlayPair(image) {
  if (state.view !== "difference" || state.heat !== null) return null;
  const { row, column } = explainedPlace();
  return contrasted(pixelAt(image, row, column, state.threshold));
}

/**
 * Paint a map of the whole image.
 * @param {DecodedImage} image
 */
function paintView(image) {
  const pair = overlayPair(image);
  if (pair !== null) {
    const map = differenceMap(image, pair[0], pair[1], state.threshold);
    paintSigned(image, map, pairText("Score", pair));
    return;
  }
  const { prediction, labels, familiarity } = image;
  if (state.view === "prediction" || (state.view === "labels" && labels !== null)) {
    paintClasses(image, state.view === "prediction" ? prediction : /** @type {Uint16Array} */ (labels));
  } else if (state.view === "errors" && labels !== null) {
    paint(overlay, image.height, image.width, (place) => {
      if (labels[place] === IGNORED) return [128, 128, 128, 150];
      return labels[place] === prediction[place] ? [255, 255, 255, 60] : [200, 60, 0, 215];
    });
    legend(["wrong", "rgb(200 60 0)"], ["without a label", "rgb(128 128 128)"]);
  } else if (state.view === "familiarity" && familiarity !== null) {
    paint(overlay, image.height, image.width, (place) => sequential(familiarity[place] / 255));
    scaleLegend("Familiarity", "cividis", "like no training pixel", "like the nearest");
  } else {
    paint(overlay, 1, 1, () => null);
    legend();
  }
}

/**
 * Paint the class of each pixel.
 * @param {DecodedImage} image
 * @param {Uint16Array} labels
 */
function paintClasses(image, labels) {
  const colours = data.classes.map(({ colour }) => channels(colour));
  paint(overlay, image.height, image.width, (place) => {
    if (labels[place] === IGNORED) return null;
    const [red, green, blue] = colours[labels[place]];
    return [red, green, blue, MASK_ALPHA];
  });
  const present = [...new Set(labels)].filter((label) => label !== IGNORED);
  const sorted = present.sort((one, other) => one - other);
  byId("legend").replaceChildren(...sorted.map(classTag));
}

/**
 * Paint the map of a prototype, a group or a scale.
 * @param {DecodedImage} image
 * @param {Heat} heat
 */
function paintHeat(image, heat) {
  if (heat.kind === "prototype") paintPrototype(image, heat.number);
  else if (heat.kind === "unit") {
    const title = `Evidence of ${unitLabel(heat.number)} for its class`;
    paintSigned(image, unitMap(image, heat.number, state.threshold), title);
  } else {
    const map = scaleMap(image, heat.number, heat.one, heat.other, state.threshold);
    const title = pairText(`Evidence of ${scaleName(heat.number)}`, [heat.one, heat.other]);
    paintSigned(image, map, title);
  }
}

/**
 * Paint the activation of a prototype, and the box where it is most active.
 * @param {DecodedImage} image
 * @param {number} prototype
 */
function paintPrototype(image, prototype) {
  const map = prototypeMap(image, prototype);
  const [low, high] = extremes(map);
  paint(overlay, image.rows, image.columns, (place) => {
    return sequential((map[place] - low) / (high - low || 1));
  });
  const { index, class_index: own, scale } = data.prototypes[prototype];
  const title = `Activation of prototype ${index} (${data.classes[own].name}, ${scaleName(scale)})`;
  scaleLegend(title, "cividis", format(low), format(high));
  const [top, left, bottom, right] = firingBox(map, image.rows, image.columns);
  const box = byId("fires");
  box.hidden = false;
  box.style.top = `${(100 * top) / image.rows}%`;
  box.style.left = `${(100 * left) / image.columns}%`;
  box.style.height = `${(100 * (bottom - top)) / image.rows}%`;
  box.style.width = `${(100 * (right - left)) / image.columns}%`;
}

/**
 * Return the lowest and the highest value of a map.
 * @param {Float32Array} map
 */
function extremes(map) {
  return map.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

/**
 * Return the box of the connected cells, among the 5 % most active, around the most active one.
 * @param {Float32Array} map
 * @param {number} rows
 * @param {number} columns
 * @returns {Box}
 */
function firingBox(map, rows, columns) {
  const cut = Float32Array.from(map).sort()[Math.floor(0.95 * (map.length - 1))];
  const start = map.indexOf(extremes(map)[1]);
  const seen = new Set([start]);
  const open = [start];
  /** @type {Box} */
  const box = [rows, columns, 0, 0];
  for (let cell = open.pop(); cell !== undefined; cell = open.pop()) {
    const row = Math.floor(cell / columns);
    const column = cell % columns;
    box[0] = Math.min(box[0], row);
    box[1] = Math.min(box[1], column);
    box[2] = Math.max(box[2], row + 1);
    box[3] = Math.max(box[3], column + 1);
    for (let r = Math.max(row - 1, 0); r <= Math.min(row + 1, rows - 1); r++) {
      for (let c = Math.max(column - 1, 0); c <= Math.min(column + 1, columns - 1); c++) {
        const next = r * columns + c;
        if (seen.has(next) || map[next] < cut) continue;
        seen.add(next);
        open.push(next);
      }
    }
  }
  return box;
}

/**
 * Paint a map of values for and against.
 * @param {DecodedImage} image
 * @param {Float32Array} map
 * @param {string} title
 */
function paintSigned(image, map, title) {
  const largest = Math.max(...extremes(map).map(Math.abs)) || 1;
  paint(overlay, image.rows, image.columns, (place) => diverging(map[place] / largest));
  scaleLegend(title, "signed", `against ${format(-largest)}`, `for ${format(largest, { sign: true })}`);
}

/**
 * Return what a map of two classes is called.
 * @param {string} what
 * @param {[number, number | null]} pair
 */
function pairText(what, [one, other]) {
  const name = `${what}: ${data.classes[one].name}`;
  return other === null ? name : `${name} against ${data.classes[other].name}`;
}

/**
 * Show what colours mean.
 * @param {...[string, string]} entries
 */
function legend(...entries) {
  const tags = entries.map(([text, colour]) => {
    const swatch = make("span", { class: "swatch" });
    swatch.style.backgroundColor = colour;
    return make("span", { class: "tag" }, swatch, text);
  });
  byId("legend").replaceChildren(...tags);
}

/**
 * Show a scale of colours.
 * @param {string} title
 * @param {string} kind
 * @param {string} low
 * @param {string} high
 */
function scaleLegend(title, kind, low, high) {
  const ramp = make("span", { class: "ramp" }, low, make("span", { class: kind }), high);
  const close = button({ class: "quiet", text: "Hide map" }, () => {
    change({ heat: null, view: "photo" });
    stage.focus();
  });
  byId("legend").replaceChildren(make("span", { class: "map-title", dir: "auto", text: title }), ramp, close);
}

/**
 * Return the pixel under a pointer.
 * @param {PointerEvent} event
 * @returns {Place}
 */
function pointed(event) {
  const image = imageOf(state.image);
  const frame = stage.getBoundingClientRect();
  const clamp = (/** @type {number} */ share, /** @type {number} */ size) =>
    Math.min(Math.max(Math.floor(share * size), 0), size - 1);
  return {
    row: clamp((event.clientY - frame.top) / frame.height, image.height),
    column: clamp((event.clientX - frame.left) / frame.width, image.width),
  };
}

/** Let the pointer and the keys move the pixel. */
function listenOnStage() {
  stage.addEventListener("pointermove", (event) => change({ at: pointed(event) }));
  stage.addEventListener("pointerdown", (event) => change({ at: pointed(event) }));
  stage.addEventListener("click", (event) => {
    // A finger chooses a pixel by touching it; it pins with the button.
    if (/** @type {PointerEvent} */ (event).pointerType !== "touch") pin();
  });
  stage.addEventListener("keydown", (event) => {
    const image = imageOf(state.image);
    const far = event.shiftKey ? Math.ceil(image.width / image.columns) : 1;
    /** @type {Record<string, [number, number]>} */
    const moves = { ArrowUp: [-far, 0], ArrowDown: [far, 0], ArrowLeft: [0, -far], ArrowRight: [0, far] };
    if (event.key in moves) {
      const [down, across] = moves[event.key];
      const row = Math.min(Math.max(state.at.row + down, 0), image.height - 1);
      const column = Math.min(Math.max(state.at.column + across, 0), image.width - 1);
      change({ at: { row, column } });
    } else if (event.key === "Enter" || event.key === " ") pin();
    else if (event.key === "Escape") unpin();
    else return;
    event.preventDefault();
  });
}
