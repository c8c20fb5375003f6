// Start the page.

/** Let the button switch between light and dark. */
function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const theme = byId("theme");
  const show = () => {
    const isDark = (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
    theme.textContent = isDark ? "Light" : "Dark";
    theme.setAttribute("aria-label", `Switch to ${isDark ? "light" : "dark"} colours`);
    return isDark;
  };
  theme.addEventListener("click", () => {
    root.dataset.theme = show() ? "light" : "dark";
    show();
  });
  dark.addEventListener("change", show);
  show();
}

startTheme();
startGallery();
startInspector();

/**
 * The numbers of the page, for the console: `protoxai.at(image, row, column)`.
 */
Object.assign(window, {
  protoxai: {
    data,
    state,
    marks: marksFile,
    /** @type {(image: number, row: number, column: number, threshold?: number) => Pixel} */
    at: (image, row, column, threshold = 0) => pixelAt(imageOf(image), row, column, threshold),
    weight: (/** @type {number} */ unit, /** @type {number} */ one) => unitWeight(unit, one, null),
    members,
  },
});
