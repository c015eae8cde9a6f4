// What the figures that answer the reader share: colors, bytes in text, choices, outlines.

const INFERNO = ["000004", "110a30", "320a5e", "57106e", "781c6d", "9a2865", "bc3754", "d84c3e", "ed6925", "f98e09", "fbb61a", "f4df53", "fcffa4"]
  .map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));

/** Colors of the levels 0 to 255 of a heat map. */
export const HEAT = Array.from({ length: 256 }, (_, level) => {
  const at = (level / 255) * (INFERNO.length - 1);
  const i = Math.min(Math.floor(at), INFERNO.length - 2);
  return INFERNO[i].map((c, k) => c + (INFERNO[i + 1][k] - c) * (at - i));
});

export const number = (value) => value.toFixed(2);

export const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

export const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** SVG path along the pixel edges between a region, 0 or 1, and its complement. */
export function border(region, width, height) {
  const on = (x, y) => x >= 0 && y >= 0 && x < width && y < height && region[y * width + x] === 1;
  const path = [];
  for (let y = 0; y <= height; y++)
    for (let x = 0; x <= width; x++) {
      if (on(x, y) !== on(x - 1, y)) path.push(`M${x} ${y}v1`);
      if (on(x, y) !== on(x, y - 1)) path.push(`M${x} ${y}h1`);
    }
  return path.join("");
}

/** Radio buttons that look like a row of tabs, one for each pair of value and label; nothing when there is nothing to choose. */
export const choices = (name, title, options, kind = "") =>
  options.length < 2
    ? ""
    : `<fieldset class="wide ${name}s"><legend>${title}</legend>${options
        .map(([value, label]) => `<label class="choice ${kind}"><input type="radio" name="${name}" value="${value}"><span>${label}</span></label>`)
        .join("")}</fieldset>`;
