// Prices and large numbers as text: text.py in another language, for what the page writes alone.
"use strict";

(function (root) {
  function rounded(value, digits) {
    const fixed = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    return value.toLocaleString("en-US", fixed);
  }

  function price(value) {
    return rounded(value, Math.abs(value) < 1 && value !== 0 ? 4 : 2);
  }

  function compact(value) {
    for (const [size, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "K"]]) {
      if (Math.abs(value) >= size) return rounded(value / size, 2) + letter;
    }
    return rounded(value, 0);
  }

  if (typeof module !== "undefined" && module.exports) {
    module.exports = { compact, price };
  } else {
    root.tapehouse = Object.assign(root.tapehouse || {}, { text: { compact, price } });
  }
})(typeof window === "undefined" ? null : window);
