// The threshold explorer: slide a threshold over a localization map and watch region, box and IoU follow.
//
// One module, two hosts. A live notebook calls the default export (anywidget's `render`); a static page
// calls `mount`, which plays the kernel's part with the state stored in the page.
//
// The upper half is arithmetic, the same as wsolbook.metrics.boxes to the last pixel; the lower half draws.

import { HEAT, border, bytes, choices, escape, number } from "./common.mjs";

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

const STYLE = `
common.css
explorer.css`;

const rectangle = ([x0, y0, x1, y1], name) => {
  const at = `x="${x0}" y="${y0}" width="${x1 - x0 + 1}" height="${y1 - y0 + 1}" rx="0.5"`;
  return `<rect class="casing" ${at}/><rect class="${name}" ${at}/>`;
};

function render({ model, el }) {
  const { pictures, maps } = model.get("content");
  const host = el.appendChild(document.createElement("div"));
  const root = host.attachShadow({ mode: "open" });
  const scenes = pictures.map((p) => ({ ...p, mask: p.mask && bytes(p.mask), maps: p.maps.map(bytes) }));
  const judged = scenes.every((p) => p.boxes.length) ? "box" : scenes.every((p) => p.mask) ? "mask" : null;
  const noun = judged === "mask" ? "mask IoU" : "box IoU";
  const swatch = (kind, label) => `<span><svg viewBox="0 0 24 8" aria-hidden="true" fill="none"><path class="${kind}" d="M0 4h24"/></svg>${label}</span>`;
  const tabs = maps.map((name, m) => [m, escape(name)]);

  root.innerHTML = `<style>${STYLE}</style><section role="group" aria-label="Threshold explorer">
    ${choices("map", "Map", tabs)}
    ${maps.length > 1 ? choices("against", "Compare with", [[-1, "nothing"], ...tabs]) : ""}
    <div><div class="stage"><img alt=""><canvas class="left"></canvas><canvas class="right"></canvas><svg class="left" aria-hidden="true" preserveAspectRatio="none"></svg><svg class="right" aria-hidden="true" preserveAspectRatio="none"></svg>
      <b class="name left" aria-hidden="true"></b><b class="name right" aria-hidden="true"></b><div class="divider" role="slider" tabindex="0" aria-orientation="horizontal" aria-valuemin="0" aria-valuemax="100"><i></i></div></div>
      <p class="legend">${swatch("edge", "region")}${swatch("prediction", "box")}${judged === "box" ? swatch("truth", "truth") : ""}<label><input type="checkbox" checked>heat map</label></p></div>
    <div class="panel"><div class="scores" ${judged ? "" : "hidden"}></div>
      <div class="curve" ${judged ? "" : "hidden"}><svg viewBox="0 0 320 168" aria-hidden="true"></svg></div><div class="notes"></div></div>
    <div class="wide slide"><label for="threshold">Threshold</label><input id="threshold" type="range" min="0" max="${(STEPS - 1) / STEPS}" step="${1 / STEPS}"><output for="threshold" aria-live="off"></output></div>
    <p class="wide note tally" ${judged && scenes.length > 1 ? "" : "hidden"}></p>
    ${choices("picture", "Picture", pictures.map((p, i) => [i, `<img src="${p.src}" alt="">${escape(p.title)}<span class="verdict"></span>`]), "thumb")}
    <p class="unseen" role="status"></p></section>`;
  const $ = (selector) => root.querySelector(selector);
  const [slider, heat, chart, stage, divider] = [$("input[type=range]"), $("input[type=checkbox]"), $(".curve svg"), $(".stage"), $(".divider")];
  const sides = () => [model.get("map"), model.get("against")].filter((m) => m >= 0); // one map, or left and right of the divider

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

  function paintHeat() {
    const scene = scenes[model.get("picture")];
    const drawn = scene.fine ? "auto" : "pixelated"; // show small pictures as the pixels they are
    sides().forEach((map, side) => {
      const canvas = root.querySelectorAll("canvas")[side];
      [canvas.width, canvas.height, canvas.style.imageRendering] = [scene.width, scene.height, drawn];
      const pixels = new ImageData(scene.width, scene.height);
      scene.maps[map].forEach((level, i) => pixels.data.set([...HEAT[level], 255 * (0.2 + 0.5 * (level / 255))], 4 * i));
      canvas.getContext("2d").putImageData(pixels, 0, 0);
    });
    Object.assign($(".stage img"), { src: scene.src }).style.cssText = `aspect-ratio: ${scene.width} / ${scene.height}; image-rendering: ${drawn}`;
  }

  /** What one map gives on the picture shown: its drawing, its score, and sentences about both. */
  function result(map) {
    const [picture, threshold] = [model.get("picture"), model.get("threshold")];
    const scene = scenes[picture];
    const region = above(scene.maps[map], threshold);
    const edge = border(region, scene.width, scene.height);
    const share = region.reduce((a, b) => a + b, 0) / region.length;
    const drawing = `<path class="edge casing" d="${edge}"/><path class="edge" d="${edge}"/>`
      + scene.boxes.map((truth) => rectangle(truth, "truth")).join("") + rectangle(boxAbove(scene.maps[map], scene.width, scene.height, threshold), "prediction");
    const parts = [`${Math.round(100 * share)} % of the picture lies above the threshold.`];
    if (scene.mask) {
      const { precision, recall } = precisionRecall(region, scene.mask);
      parts.push(`Pixel precision ${number(precision)}, recall ${number(recall)}.`);
    }
    if (!judged) return { map, drawing, parts };
    const values = curve(picture, map);
    const best = values.indexOf(Math.max(...values));
    parts.push(`Best for this picture: ${number(values[best])} at threshold ${number(best / STEPS)}.`);
    return { map, drawing, parts, values, here: score(scene, map, threshold) };
  }

  function drawJudgment(results, threshold) {
    const two = results.length > 1;
    $(".scores").innerHTML = results.map(({ map, here }, side) => `<div class="score side${side}"><b>${number(here)}</b><span>${noun}${two ? `, ${escape(maps[map])}` : ""}</span>`
      + `<div class="pills">${[0.3, 0.5, 0.7].map((d) => `<span class="${here >= d ? "hit" : ""}">${here >= d ? "✓" : "✗"} at ${d}</span>`).join("")}</div></div>`).join("");
    chart.innerHTML = [0, 0.5, 1].map((v) => `<path class="axis" d="M${left} ${up(v)}h${wide}"/><text x="${left - 5}" y="${up(v) + 4}" text-anchor="end">${v}</text>`
      + `<text x="${across(v)}" y="${top + tall + 14}" text-anchor="middle">${v}</text>`).join("")
      + `<text x="${left + wide / 2}" y="${top + tall + 27}" text-anchor="middle">threshold</text>`
      + maps.map((_, m) => (sides().includes(m) ? "" : line(curve(model.get("picture"), m), "other"))).join("")
      + `<path class="here" d="M${across(threshold)} ${top}v${tall}"/>`
      + results.map(({ values, here }, side) => line(values, `own side${side}`) + `<circle class="side${side}" cx="${across(threshold)}" cy="${up(here)}" r="5"/>`).reverse().join("");
    if (scenes.length < 2) return;
    const all = results.map(({ map }) => scenes.map((one) => score(one, map, threshold)));
    root.querySelectorAll(".verdict").forEach((v, i) => {
      v.textContent = all.map((values) => `${values[i] >= 0.5 ? "✓" : "✗"} ${number(values[i])}`).join("\n");
      v.classList.toggle("hit", all.some((values) => values[i] >= 0.5));
    });
    const counts = all.map((values, side) => `${values.filter((v) => v >= 0.5).length} of ${scenes.length}${two ? ` with ${maps[results[side].map]}` : ""}`);
    $(".tally").textContent = `Pictures that reach IoU 0.5 at this threshold: ${counts.join("; ")}.`;
  }

  function draw() {
    const [scene, threshold] = [scenes[model.get("picture")], model.get("threshold")];
    const results = sides().map(result);
    const two = results.length > 1;
    stage.classList.toggle("two", two);
    results.forEach(({ map, drawing }, side) => {
      const svg = stage.querySelectorAll("svg")[side];
      svg.setAttribute("viewBox", `0 0 ${scene.width} ${scene.height}`);
      svg.innerHTML = drawing;
      stage.querySelectorAll(".name")[side].textContent = maps[map];
    });
    root.querySelectorAll("canvas").forEach((canvas) => (canvas.hidden = !heat.checked));
    slider.value = threshold;
    $("output").value = number(threshold);
    slider.setAttribute("aria-valuetext", number(threshold));
    root.querySelectorAll("input[type=radio]").forEach((r) => {
      r.checked = Number(r.value) === model.get(r.name);
      r.disabled = r.name === "against" && Number(r.value) === model.get("map");
    });
    if (judged) drawJudgment(results, threshold);
    const told = results.map(({ map, parts }) => `${two ? `${maps[map]}: ` : ""}${parts.join(" ")}`);
    $(".notes").innerHTML = told.map((t) => `<p class="note">${escape(t)}</p>`).join("");
    const spoken = `${scene.title}, threshold ${number(threshold)}, ${results
      .map(({ map, here }, side) => `${maps[map]}${two ? ` on the ${side ? "right" : "left"}` : ""}${judged ? `, ${noun} ${number(here)}` : ""}`).join(", ")}`;
    $(".stage img").alt = `${spoken}. ${told.join(" ")}`;
    $("[role=status]").textContent = spoken;
    divide();
  }

  let split = 50; // percent of the width that the left map has
  function divide(to = split) {
    split = Math.min(Math.max(to, 0), 100);
    stage.style.setProperty("--split", `${split}%`);
    divider.setAttribute("aria-valuenow", Math.round(split));
    divider.ariaLabel = `Divider between ${sides().map((m) => maps[m]).join(" and ")}`;
    divider.setAttribute("aria-valuetext", `${sides().map((m, side) => `${maps[m]} on ${Math.round(side ? 100 - split : split)} %`).join(", ")}`);
  }

  const set = (name, value) => {
    if (name === "map" && value === model.get("against")) model.set("against", model.get("map")); // they change sides
    model.set(name, value);
    model.save_changes();
  };
  const repaint = () => {
    paintHeat();
    draw();
  };
  const point = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const frame = chart.getBoundingClientRect();
    const at = (((event.clientX - frame.left) / frame.width) * 320 - left) / wide;
    set("threshold", Math.round(Math.min(Math.max(at, 0), (STEPS - 1) / STEPS) * STEPS) / STEPS);
  };
  const drag = (event) => {
    if (sides().length < 2 || (event.type === "pointermove" && !event.buttons)) return;
    const frame = stage.getBoundingClientRect();
    divide((100 * (event.clientX - frame.left)) / frame.width);
  };
  const KEYS = { ArrowLeft: -2, ArrowDown: -2, ArrowRight: 2, ArrowUp: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
  divider.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS)) return;
    event.preventDefault();
    divide(split + KEYS[event.key]);
  });
  slider.addEventListener("input", () => set("threshold", Number(slider.value)));
  heat.addEventListener("change", draw);
  root.querySelectorAll("input[type=radio]").forEach((r) => r.addEventListener("change", () => set(r.name, Number(r.value))));
  ["pointerdown", "pointermove"].forEach((kind) => {
    chart.addEventListener(kind, point);
    stage.addEventListener(kind, drag);
  });
  const heard = { "change:threshold": draw, "change:picture": repaint, "change:map": repaint, "change:against": repaint };
  Object.entries(heard).forEach(([event, f]) => model.on(event, f));
  repaint();
  return () => Object.entries(heard).forEach(([event, f]) => model.off(event, f));
}
