// The prototypes behind a pixel's scores.

const SHOWN_PROTOTYPES = 6;

/** @type {Map<number, HTMLElement>} Pictures of the panel by prototype. */
const panelPictures = new Map();

/**
 * Show the prototypes with the most evidence, each once even if several groups use it.
 * @param {Pixel} pixel
 * @param {[number, number | null]} pair
 */
function drawPrototypes(pixel, [one, other]) {
  const evidence = membersOfPrototype.map((numbers, place) => ({
    place,
    value: numbers.reduce((sum, n) => sum + unitWeight(members[n].unit, one, other) * pixel.parts[n], 0),
  }));
  const sorted = largestFirst(evidence.filter(({ value }) => value !== 0));
  const shown = state.all ? sorted : sorted.slice(0, SHOWN_PROTOTYPES);
  const rest = sorted.slice(shown.length).reduce((sum, { value }) => sum + value, 0);
  const largest = Math.max(...shown.map(({ value }) => Math.abs(value)), 1e-9);
  const items = shown.map(({ place, value }) => prototypeItem(pixel, place, value, largest));
  const hidden = sorted.length - shown.length;
  if (hidden > 0) items.push(sumItem("others", `Others: ${hidden} prototypes`, rest, largest));
  byId("reasons").replaceChildren(...items);
  byId("more").hidden = sorted.length <= SHOWN_PROTOTYPES;
  byId("more").textContent = state.all ? "Show the strongest only" : "Show all";
}

/**
 * Return a prototype with its numbers.
 * @param {Pixel} pixel
 * @param {number} place
 * @param {number} value
 * @param {number} largest
 */
function prototypeItem(pixel, place, value, largest) {
  const { index, class_index: c, scale } = data.prototypes[place];
  let picture = panelPictures.get(place);
  if (picture === undefined) {
    picture = pictureOf(data.prototypes[place]);
    panelPictures.set(place, picture);
  }
  const pick = heatButton("prototype", place, 0, null, "");
  pick.className = "pick";
  pick.replaceChildren(picture);
  pick.setAttribute("aria-label", `Map of prototype ${index}`);
  return make("li", { class: "member", "data-prototype": place },
    pick,
    make("span", { class: "about" },
      make("span", { class: "what" }, classTag(c), make("span", { class: "index", text: ` #${index}` })),
      make("span", { class: "facts" }, `${scaleName(scale)}, activation `,
        make("span", { class: "activation", text: format(pixel.activations[place]) })),
      grouped ? make("span", { class: "facts", text: weightText(place) }) : null,
    ),
    signedBar(value, largest),
    make("span", { class: "number", text: format(value, { sign: true }) }),
  );
}

/**
 * Return the weights of a prototype in its groups.
 * @param {number} place
 */
function weightText(place) {
  const own = membersOfPrototype[place].map((number) => members[number]);
  const counted = own.filter(({ weight }) => weight >= state.threshold);
  const texts = counted.map(({ unit, weight }) => `${data.units[unit].number}:\u00a0${format(weight, { decimals: 2 })}`);
  return `weight in group ${texts.join(", ")}`;
}
