// Elements of the page. Text from the data is only ever set as text.

/**
 * Return the element with an id.
 * @param {string} id
 */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * Return a new element.
 * @param {string} tag
 * @param {Record<string, string | number | boolean | null>} [attributes] "text" is its text.
 * @param {...(Node | string | null)} children
 * @returns {HTMLElement}
 */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    if (name === "text") element.textContent = String(value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/**
 * Return a button.
 * @param {Record<string, string | number | boolean | null>} attributes
 * @param {() => void} action
 * @param {...(Node | string)} children
 */
function button(attributes, action, ...children) {
  const element = make("button", { type: "button", ...attributes }, ...children);
  element.addEventListener("click", action);
  return element;
}

/**
 * Return an SVG element.
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 */
function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/**
 * Return a number as it is shown: with as many decimals as are right.
 * @param {number} value
 * @param {{sign?: boolean, decimals?: number}} [options]
 */
function format(value, { sign = false, decimals = data.decimals } = {}) {
  const text = Math.abs(value).toFixed(decimals);
  if (Number(text) === 0) return text;
  if (value < 0) return `\u2212${text}`;
  return sign ? `+${text}` : text;
}

/**
 * Return a share in percent.
 * @param {number} share
 */
function percent(share) {
  if (share > 0 && share < 0.01) return "< 1 %";
  if (share < 1 && share > 0.99) return "> 99 %";
  return `${Math.round(100 * share)} %`;
}

/**
 * Return a name from the data, isolated from the direction of the text around it.
 * @param {string} name
 */
function nameOf(name) {
  return make("bdi", { class: "name", text: name, title: name.length > 30 ? name : null });
}

/**
 * Return a class's name with its colour.
 * @param {number} c
 */
function classTag(c) {
  const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.backgroundColor = data.classes[c].colour;
  return make("span", { class: "tag" }, swatch, nameOf(data.classes[c].name));
}

/**
 * Return what a scale is called.
 * @param {number} scale
 */
function scaleName(scale) {
  return `scale ${scale + 1}`;
}

/**
 * Return the name of a unit.
 * @param {number} unit
 */
function unitLabel(unit) {
  const { class_index: own, number } = data.units[unit];
  return grouped ? `${data.classes[own].name}, group ${number}` : data.classes[own].name;
}

/**
 * Return a bar around a middle line: to the right for, to the left against.
 * @param {number} value
 * @param {number} largest
 */
function signedBar(value, largest) {
  const bar = make("span", { class: `bar ${value < 0 ? "against" : "for"}`, "aria-hidden": "true" });
  const fill = make("span", { class: "fill" });
  fill.style.width = `${largest > 0 ? (50 * Math.abs(value)) / largest : 0}%`;
  bar.append(fill);
  return bar;
}

/**
 * Return the picture of a prototype: its surroundings dimmed, its activation as light.
 * @param {PagePrototype} prototype
 */
function pictureOf(prototype) {
  const { picture } = prototype;
  if (picture === null) return make("span", { class: "patch none", text: "no picture kept" });
  const [height, width] = picture.size;
  const frame = make("span", { class: "patch" });
  frame.style.setProperty("--ratio", String(width / height));
  const image = make("img", { src: picture.source, alt: "", draggable: "false" });
  frame.append(image, glow(picture), outline(picture));
  return frame;
}

/**
 * Return the activation over a picture.
 * @param {PagePicture} picture
 */
function glow({ activation }) {
  const canvas = /** @type {HTMLCanvasElement} */ (make("canvas", { class: "glow", "aria-hidden": "true" }));
  if (activation === null) return canvas;
  const values = bytesOf(activation.values);
  const largest = Math.max(1, ...values);
  paint(canvas, activation.rows, activation.columns, (place) => {
    return [255, 236, 120, (80 * values[place]) / largest];
  });
  return canvas;
}

/**
 * Return the boxes over a picture, all around the active region dimmed.
 * @param {PagePicture} picture
 */
function outline({ size: [height, width], box, cell }) {
  const view = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  if (box !== null) {
    const [top, left, bottom, right] = box;
    const hole = `M${left} ${top}V${bottom}H${right}V${top}Z`;
    view.append(svg("path", { class: "dim", d: `M0 0H${width}V${height}H0Z${hole}`, "fill-rule": "evenodd" }));
  }
  for (const [name, edges] of Object.entries({ box, cell })) {
    if (edges === null) continue;
    const [top, left, bottom, right] = edges;
    const place = { x: left, y: top, width: right - left, height: bottom - top };
    view.append(svg("rect", { class: "edge", ...place }), svg("rect", { class: name, ...place }));
  }
  return view;
}
