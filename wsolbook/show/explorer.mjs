// The threshold explorer: slide a threshold over a localization map and watch region, box and IoU follow.
//
// One module, two hosts. A live notebook calls the default export (anywidget's `render`); a static page
// calls `mount`, which plays the kernel's part with the state stored in the page.
//
// The upper half is arithmetic, the same as wsolbook.metrics.boxes to the last pixel; the lower half draws.

// ---------------------------------------------------------------------------------------- arithmetic

/** Pixels strictly above int(threshold * maximum), as 0/1. */
export function above(levels, threshold) {
  const cut = Math.trunc(threshold * levels.reduce((a, b) => Math.max(a, b), 0));
  return levels.map((level) => (level > cut ? 1 : 0));
}

// The eight neighbors, clockwise from the west (y points down).
const RING = [[-1, 0], [-1, -1], [0, -1], [1, -1], [1, 0], [1, 1], [0, 1], [-1, 1]];

/** Outline of the component whose first pixel in reading order is (x, y): border following of Suzuki and Abe. */
function outline(region, width, height, x, y) {
  const on = (px, py) => px >= 0 && py >= 0 && px < width && py < height && region[py * width + px] === 1;
  const step = (px, py, from, turn) => {
    for (let k = 1; k <= 8; k++) {
      const way = (from + turn * k + 16) % 8;
      if (on(px + RING[way][0], py + RING[way][1])) return way;
    }
    return -1;
  };
  const first = step(x, y, 7, +1);
  if (first < 0) return [[x, y]];
  const end = [x + RING[first][0], y + RING[first][1]];
  const points = [];
  let [px, py, back] = [x, y, first];
  for (;;) {
    points.push([px, py]);
    const way = step(px, py, back, -1);
    const [nx, ny] = [px + RING[way][0], py + RING[way][1]];
    if (nx === x && ny === y && px === end[0] && py === end[1]) return points;
    [px, py, back] = [nx, ny, (way + 4) % 8];
  }
}

/** Area of a polygon through pixel centers; a line one pixel thin has none. */
function polygonArea(points) {
  let twice = 0;
  points.forEach(([x, y], i) => {
    const [u, v] = points[(i + 1) % points.length];
    twice += x * v - u * y;
  });
  return Math.abs(twice) / 2;
}

/** Boxes (x0, y0, x1, y1) and polygon areas of the 8-connected components, in reading order. */
export function components(region, width, height) {
  const seen = new Uint8Array(region.length);
  const found = [];
  for (let start = 0; start < region.length; start++) {
    if (!region[start] || seen[start]) continue;
    const box = [width, height, -1, -1];
    const stack = [start];
    seen[start] = 1;
    while (stack.length) {
      const at = stack.pop();
      const [x, y] = [at % width, (at / width) | 0];
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x);
      box[3] = Math.max(box[3], y);
      for (const [dx, dy] of RING) {
        const next = at + dy * width + dx;
        const inside = x + dx >= 0 && x + dx < width && y + dy >= 0 && y + dy < height;
        if (inside && region[next] && !seen[next]) {
          seen[next] = 1;
          stack.push(next);
        }
      }
    }
    found.push({ box, area: polygonArea(outline(region, width, height, start % width, (start / width) | 0)) });
  }
  return found;
}

/** Box of the component with the largest polygon area, the last of equals: the protocol of Choe et al. (2020). */
export function boxAbove(levels, width, height, threshold) {
  let best = { box: [0, 0, 0, 0], area: -1 };
  for (const one of components(above(levels, threshold), width, height)) if (one.area >= best.area) best = one;
  if (best.area < 0) return best.box;
  const [x0, y0, x1, y1] = best.box;
  return [x0, y0, Math.min(x1 + 1, width - 1), Math.min(y1 + 1, height - 1)]; // the protocol's exclusive edge
}

/** IoU of two boxes with inclusive corners. */
export function iou(a, b) {
  const side = (lo, hi) => Math.max(0, hi - lo + 1);
  const both = side(Math.max(a[0], b[0]), Math.min(a[2], b[2])) * side(Math.max(a[1], b[1]), Math.min(a[3], b[3]));
  const area = (c) => side(c[0], c[2]) * side(c[1], c[3]);
  return both / (area(a) + area(b) - both);
}

/** Share of the region that lies on the mask, and of the mask that lies in the region; 255 is ignored. */
export function precisionRecall(region, mask) {
  let [hit, predicted, truth] = [0, 0, 0];
  mask.forEach((m, i) => {
    if (m === 255) return;
    hit += region[i] && m ? 1 : 0;
    predicted += region[i];
    truth += m ? 1 : 0;
  });
  return { precision: predicted ? hit / predicted : 1, recall: truth ? hit / truth : 0, iou: hit / (predicted + truth - hit || 1) };
}

// ------------------------------------------------------------------------------------------- drawing

const STEPS = 100; // thresholds 0.00, 0.01, ..., 0.99

const INFERNO = ["000004", "110a30", "320a5e", "57106e", "781c6d", "9a2865", "bc3754", "d84c3e", "ed6925", "f98e09", "fbb61a", "f4df53", "fcffa4"]
  .map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));

function inferno(level) {
  const at = (level / 255) * (INFERNO.length - 1);
  const i = Math.min(Math.floor(at), INFERNO.length - 2);
  return INFERNO[i].map((c, k) => c + (INFERNO[i + 1][k] - c) * (at - i));
}

const STYLE = `
explorer.css`;

const number = (value) => value.toFixed(2);

const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);

/** SVG path along the pixel edges between a region and its complement. */
function border(region, width, height) {
  const on = (x, y) => x >= 0 && y >= 0 && x < width && y < height && region[y * width + x] === 1;
  const path = [];
  for (let y = 0; y <= height; y++)
    for (let x = 0; x <= width; x++) {
      if (on(x, y) !== on(x - 1, y)) path.push(`M${x} ${y}v1`);
      if (on(x, y) !== on(x, y - 1)) path.push(`M${x} ${y}h1`);
    }
  return path.join("");
}

const rectangle = ([x0, y0, x1, y1], name) => {
  const at = `x="${x0}" y="${y0}" width="${x1 - x0 + 1}" height="${y1 - y0 + 1}" rx="0.5"`;
  return `<rect class="casing" ${at}/><rect class="${name}" ${at}/>`;
};

/** Radio buttons that look like a row of tabs; nothing when there is nothing to choose. */
const choices = (name, title, labels, chosen, kind = "") =>
  labels.length < 2
    ? ""
    : `<fieldset class="wide ${name}s"><legend>${title}</legend>${labels
        .map((label, i) => `<label class="choice ${kind}"><input type="radio" name="${name}" value="${i}" ${i === chosen ? "checked" : ""}><span>${label}</span></label>`)
        .join("")}</fieldset>`;

function render({ model, el }) {
  const { pictures, maps } = model.get("content");
  const host = el.appendChild(document.createElement("div"));
  const root = host.attachShadow({ mode: "open" });
  const scenes = pictures.map((p) => ({ ...p, mask: p.mask && bytes(p.mask), maps: p.maps.map(bytes) }));
  const judged = scenes.every((p) => p.boxes.length) ? "box" : scenes.every((p) => p.mask) ? "mask" : null;
  const noun = judged === "mask" ? "mask IoU" : "box IoU";
  const swatch = (kind, label) => `<span><svg viewBox="0 0 24 8" aria-hidden="true" fill="none"><path class="${kind}" d="M0 4h24"/></svg>${label}</span>`;

  root.innerHTML = `<style>${STYLE}</style><section role="group" aria-label="Threshold explorer">
    ${choices("map", "Map", maps.map(escape), model.get("map"))}
    <div><div class="stage" role="img"><img alt=""><canvas></canvas><svg preserveAspectRatio="none"></svg></div>
      <p class="legend">${swatch("edge", "region")}${swatch("prediction", "box")}${judged === "box" ? swatch("truth", "truth") : ""}<label><input type="checkbox" checked>heat map</label></p></div>
    <div class="panel"><div class="score" ${judged ? "" : "hidden"}><b></b><span>${noun}</span></div><div class="pills"></div>
      <div class="curve" ${judged ? "" : "hidden"}><svg viewBox="0 0 320 168" aria-hidden="true"></svg></div><p class="note"></p></div>
    <div class="wide slide"><label for="threshold">Threshold</label><input id="threshold" type="range" min="0" max="${(STEPS - 1) / STEPS}" step="${1 / STEPS}"><output for="threshold" aria-live="off"></output></div>
    <p class="wide note tally" ${judged && scenes.length > 1 ? "" : "hidden"}></p>
    ${choices("picture", "Picture", pictures.map((p) => `<img src="${p.src}" alt="">${escape(p.title)}<span class="verdict"></span>`), model.get("picture"), "thumb")}
    <p class="unseen" role="status"></p></section>`;
  const $ = (selector) => root.querySelector(selector);
  const [slider, heat, chart] = [$("input[type=range]"), $("input[type=checkbox]"), $(".curve svg")];

  const score = (scene, map, threshold) => {
    const levels = scene.maps[map];
    if (judged === "mask") return precisionRecall(above(levels, threshold), scene.mask).iou;
    const box = boxAbove(levels, scene.width, scene.height, threshold);
    return Math.max(...scene.boxes.map((truth) => iou(box, truth)));
  };
  const curves = new Map(); // IoU at every threshold, computed when first looked at
  const curve = (picture, map) => {
    const key = `${picture} ${map}`;
    if (!curves.has(key)) curves.set(key, Array.from({ length: STEPS }, (_, i) => score(scenes[picture], map, i / STEPS)));
    return curves.get(key);
  };

  const [left, top, wide, tall] = [26, 8, 286, 130];
  const across = (threshold) => left + threshold * wide;
  const up = (value) => top + (1 - value) * tall;
  const line = (values, name) => `<path class="${name}" d="M${values.map((v, i) => `${across(i / STEPS).toFixed(1)} ${up(v).toFixed(1)}`).join("L")}"/>`;

  function paintHeat(scene, map) {
    const canvas = $("canvas");
    [canvas.width, canvas.height] = [scene.width, scene.height];
    const pixels = new ImageData(scene.width, scene.height);
    scene.maps[map].forEach((level, i) => pixels.data.set([...inferno(level), 255 * (0.2 + 0.5 * (level / 255))], 4 * i));
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    const picture = $(".stage img");
    picture.src = scene.src;
    picture.style.aspectRatio = `${scene.width} / ${scene.height}`;
    const boxed = scene.width < 128 ? "pixelated" : "auto"; // show small pictures as the pixels they are
    picture.style.imageRendering = canvas.style.imageRendering = boxed;
  }

  function draw() {
    const [picture, map, threshold] = [model.get("picture"), model.get("map"), model.get("threshold")];
    const scene = scenes[picture];
    const region = above(scene.maps[map], threshold);
    const box = boxAbove(scene.maps[map], scene.width, scene.height, threshold);
    const share = region.reduce((a, b) => a + b, 0) / region.length;
    const edge = border(region, scene.width, scene.height);

    $(".stage svg").setAttribute("viewBox", `0 0 ${scene.width} ${scene.height}`);
    $(".stage svg").innerHTML = `<path class="edge casing" d="${edge}"/><path class="edge" d="${edge}"/>`
      + scene.boxes.map((truth) => rectangle(truth, "truth")).join("") + rectangle(box, "prediction");
    $("canvas").hidden = !heat.checked;
    slider.value = threshold;
    $("output").value = number(threshold);
    root.querySelectorAll("input[type=radio]").forEach((r) => (r.checked = Number(r.value) === model.get(r.name)));

    const parts = [`${Math.round(100 * share)} % of the picture lies above the threshold.`];
    if (scene.mask) {
      const { precision, recall } = precisionRecall(region, scene.mask);
      parts.push(`Pixel precision ${number(precision)}, recall ${number(recall)}.`);
    }
    let spoken = `${scene.title}, ${maps[map]}, threshold ${number(threshold)}`;
    if (judged) {
      const here = score(scene, map, threshold);
      const values = curve(picture, map);
      const best = values.indexOf(Math.max(...values));
      $(".score b").textContent = number(here);
      $(".pills").innerHTML = [0.3, 0.5, 0.7].map((d) => `<span class="${here >= d ? "hit" : ""}">${here >= d ? "✓" : "✗"} at ${d}</span>`).join("");
      parts.push(`Best for this picture: ${number(values[best])} at threshold ${number(best / STEPS)}.`);
      chart.innerHTML = [0, 0.5, 1].map((v) => `<path class="axis" d="M${left} ${up(v)}h${wide}"/><text x="${left - 5}" y="${up(v) + 4}" text-anchor="end">${v}</text>`
        + `<text x="${across(v)}" y="${top + tall + 14}" text-anchor="middle">${v}</text>`).join("")
        + `<text x="${left + wide / 2}" y="${top + tall + 27}" text-anchor="middle">threshold</text>`
        + maps.map((_, m) => (m === map ? "" : line(curve(picture, m), "other"))).join("") + line(values, "own")
        + `<path class="here" d="M${across(threshold)} ${top}v${tall}"/><circle cx="${across(threshold)}" cy="${up(here)}" r="5"/>`;
      spoken += `, ${noun} ${number(here)}`;
      if (scenes.length > 1) {
        const all = scenes.map((one, i) => score(one, map, threshold));
        root.querySelectorAll(".verdict").forEach((v, i) => {
          v.textContent = `${all[i] >= 0.5 ? "✓" : "✗"} ${number(all[i])}`;
          v.classList.toggle("hit", all[i] >= 0.5);
        });
        $(".tally").textContent = `${all.filter((v) => v >= 0.5).length} of ${all.length} pictures reach IoU 0.5 at this threshold.`;
      }
    }
    $(".panel .note").textContent = parts.join(" ");
    $(".stage").setAttribute("aria-label", `${spoken}. ${parts.join(" ")}`);
    $("[role=status]").textContent = spoken;
    slider.setAttribute("aria-valuetext", number(threshold));
  }

  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const repaint = () => {
    paintHeat(scenes[model.get("picture")], model.get("map"));
    draw();
  };
  const point = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const frame = chart.getBoundingClientRect();
    const at = (((event.clientX - frame.left) / frame.width) * 320 - left) / wide;
    set("threshold", Math.round(Math.min(Math.max(at, 0), (STEPS - 1) / STEPS) * STEPS) / STEPS);
  };
  slider.addEventListener("input", () => set("threshold", Number(slider.value)));
  heat.addEventListener("change", draw);
  root.querySelectorAll("input[type=radio]").forEach((r) => r.addEventListener("change", () => set(r.name, Number(r.value))));
  ["pointerdown", "pointermove"].forEach((kind) => chart.addEventListener(kind, point));
  const heard = { "change:threshold": draw, "change:picture": repaint, "change:map": repaint };
  Object.entries(heard).forEach(([event, f]) => model.on(event, f));
  repaint();
  return () => Object.entries(heard).forEach(([event, f]) => model.off(event, f));
}
