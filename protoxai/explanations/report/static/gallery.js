// The gallery: every prototype with its picture, filtered.

const PER_PAGE = 48;
let shownCards = PER_PAGE;

/** @type {Map<number, HTMLElement>} */
const cards = new Map();

/**
 * Return the chosen value of a filter; null for all.
 * @param {string} id
 */
function filterValue(id) {
  const { value } = /** @type {HTMLSelectElement} */ (byId(id));
  return value === "" ? null : Number(value);
}

/** Return the places of the prototypes that pass the filters. */
function filteredPrototypes() {
  const own = filterValue("filter-class");
  const scale = filterValue("filter-scale");
  const group = filterValue("filter-group");
  const use = filterValue("filter-use");
  return [...data.prototypes.keys()].filter((place) => {
    const prototype = data.prototypes[place];
    const groups = membersOfPrototype[place].map((number) => data.units[members[number].unit].number);
    return (
      (own === null || prototype.class_index === own) &&
      (scale === null || prototype.scale === scale) &&
      (group === null || groups.includes(group)) &&
      (use === null || Number(prototype.active) === use)
    );
  });
}

/** Draw the gallery. */
function drawGallery() {
  const places = filteredPrototypes();
  const sorted = places.sort((one, other) => {
    const [a, b] = [data.prototypes[one], data.prototypes[other]];
    return a.class_index - b.class_index || a.scale - b.scale || a.index - b.index;
  });
  const shown = sorted.slice(0, shownCards);
  byId("cards").replaceChildren(...shown.map(cardOf));
  const count = places.length;
  byId("gallery-count").textContent = count === 1 ? "1 prototype" : `${count} prototypes`;
  const more = byId("gallery-more");
  more.hidden = shown.length === count;
  more.textContent = `Show ${Math.min(PER_PAGE, count - shown.length)} more`;
}

/**
 * Return the card of a prototype.
 * @param {number} place
 */
function cardOf(place) {
  const known = cards.get(place);
  if (known) return known;
  const prototype = data.prototypes[place];
  const groups = membersOfPrototype[place].map((number) => {
    const { unit, weight } = members[number];
    return make("li", { class: "weight" },
      make("span", { text: `Group ${data.units[unit].number}` }),
      weightBar(weight),
      make("span", { class: "number", text: format(weight, { decimals: 2 }) }),
    );
  });
  const source = make("p", { class: "source note" });
  if (prototype.image_id !== null) source.append("From ", nameOf(prototype.image_id));
  const card = make("li", { class: "card", "data-prototype": place },
    pictureOf(prototype),
    make("div", { class: "about" },
      make("h3", {}, classTag(prototype.class_index), make("span", { class: "index", text: `#${prototype.index}` })),
      make("p", { class: "facts" }, scaleName(prototype.scale), prototype.active ? null : ", not in use"),
      grouped && groups.length > 0 ? make("ul", { class: "weights" }, ...groups) : null,
      source,
      markControls(place),
    ),
  );
  cards.set(place, card);
  return card;
}

/**
 * Return a bar of a weight in [0, 1].
 * @param {number} weight
 */
function weightBar(weight) {
  const fill = make("span", { class: "fill" });
  fill.style.width = `${100 * weight}%`;
  return make("span", { class: "bar whole", "aria-hidden": "true" }, fill);
}

/**
 * Fill a filter.
 * @param {string} id
 * @param {string} all
 * @param {[string, number][]} options
 */
function fillFilter(id, all, options) {
  const select = /** @type {HTMLSelectElement} */ (byId(id));
  select.append(new Option(all, ""), ...options.map(([text, value]) => new Option(text, String(value))));
  select.addEventListener("change", () => {
    shownCards = PER_PAGE;
    drawGallery();
  });
}

/** Start the gallery. */
function startGallery() {
  const present = new Set(data.prototypes.map(({ class_index: own }) => own));
  const groups = new Set(grouped ? data.units.map(({ number }) => number) : []);
  fillFilter("filter-class", "All classes",
    data.classes.map(({ name }, c) => /** @type {[string, number]} */ ([name, c])).filter(([, c]) => present.has(c)));
  fillFilter("filter-scale", "All scales",
    Array.from({ length: data.scales }, (_, scale) => [`Scale ${scale + 1}`, scale]));
  fillFilter("filter-group", "All groups", [...groups].map((number) => [`Group ${number}`, number]));
  fillFilter("filter-use", "In use or not", [["In use", 1], ["Not in use", 0]]);
  const unused = data.prototypes.some(({ active }) => !active);
  /** @type {HTMLSelectElement} */ (byId("filter-use")).value = "1";
  byId("filter-group-field").hidden = !grouped;
  byId("filter-use-field").hidden = !unused;
  const plain = /** @type {HTMLInputElement} */ (byId("plain"));
  plain.addEventListener("change", () => byId("cards").classList.toggle("plain", plain.checked));
  byId("plain-field").hidden = !data.pictures;
  byId("gallery-more").addEventListener("click", () => {
    shownCards += PER_PAGE;
    drawGallery();
  });
  byId("marks-save").addEventListener("click", saveMarks);
  drawGallery();
  drawMarks();
}
