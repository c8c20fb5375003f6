const js = require("@eslint/js");

// The scripts are joined into one, so each sees what the others define; tsc checks the names.
module.exports = [
  {
    files: ["protoxai/explanations/report/static/*.js"],
    languageOptions: { ecmaVersion: 2022, sourceType: "script" },
    rules: {
      ...js.configs.recommended.rules,
      "no-undef": "off",
      "no-unused-vars": ["error", { vars: "local" }],
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({
          property,
          message: "Set text with textContent, and build elements with make().",
        })),
      ],
      "prefer-const": "error",
      eqeqeq: "error",
    },
  },
];
