// Prototypes that a person marks, with the reason, as a file to edit the model with.

/** @type {Map<number, string>} Reasons by the prototype's place on the page. */
const marks = new Map();

/**
 * Return the marks in the form that the command line reads.
 */
function marksFile() {
  const entries = [...marks].map(([place, reason]) => {
    const { index, class_index: own, image_id: image } = data.prototypes[place];
    return { index, class: data.classes[own].name, image_id: image, reason };
  });
  entries.sort((one, other) => one.index - other.index);
  return { format: 1, prototypes: entries };
}

/** Show how many prototypes are marked. */
function drawMarks() {
  const count = marks.size;
  byId("marks-count").textContent = count === 1 ? "1 prototype marked" : `${count} prototypes marked`;
  /** @type {HTMLButtonElement} */ (byId("marks-save")).disabled = count === 0;
}

/** Save the marks as a file. */
function saveMarks() {
  const text = `${JSON.stringify(marksFile(), null, 1)}\n`;
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = make("a", { href: url, download: "marks.json" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/**
 * Return the controls that mark a prototype.
 * @param {number} place
 */
function markControls(place) {
  const { index } = data.prototypes[place];
  const box = /** @type {HTMLInputElement} */ (make("input", { type: "checkbox" }));
  const reason = /** @type {HTMLInputElement} */ (make("input", {
    type: "text", class: "reason", placeholder: "Reason", maxlength: 500,
    "aria-label": `Reason for marking prototype ${index}`,
  }));
  const show = () => {
    box.checked = marks.has(place);
    reason.hidden = !box.checked;
    reason.value = marks.get(place) ?? "";
  };
  box.addEventListener("change", () => {
    if (box.checked) marks.set(place, "");
    else marks.delete(place);
    show();
    drawMarks();
    if (box.checked) reason.focus();
  });
  reason.addEventListener("input", () => marks.set(place, reason.value));
  show();
  return make("div", { class: "mark" }, make("label", {}, box, " Mark"), reason);
}
