// The affinity explorer: pick a cell, see how surely its neighbors belong to it and where a random walk takes its score.
//
// The upper half is arithmetic, that of wsolbook.refine; the lower half draws.

import { HEAT, border, bytes, choices, escape, number } from "./common.mjs";

// ---------------------------------------------------------------------------------------- arithmetic

/** Call f(pair, cell, partner) for each pair of cells: `pair` counts as affinities are stored, offset after offset. */
function eachPair({ offsets, height, width }, f) {
  offsets.forEach(([dy, dx], o) => {
    for (let y = 0; y < height - dy; y++)
      for (let x = Math.max(0, -dx); x < Math.min(width, width - dx); x++) {
        const cell = y * width + x;
        f(o * height * width + cell, cell, cell + dy * width + dx);
      }
  });
}

/** Affinities, 0 to 255, of one cell to all others; -1 out of reach. */
export function neighborhood(grid, levels, cell) {
  const found = new Int16Array(grid.height * grid.width).fill(-1);
  found[cell] = 255;
  eachPair(grid, (pair, a, b) => {
    if (a === cell) found[b] = levels[pair];
    else if (b === cell) found[a] = levels[pair];
  });
  return found;
}

/** The pairs as flat lists, with the weights of the walk, and the degree of each cell. */
export function walkway(grid, levels) {
  const power = Float64Array.from({ length: 256 }, (_, level) => (level / 255) ** grid.beta);
  const [from, to, weight] = [[], [], []];
  const degree = new Float64Array(grid.height * grid.width).fill(1);
  eachPair(grid, (pair, a, b) => {
    from.push(a);
    to.push(b);
    weight.push(power[levels[pair]]);
    degree[a] += power[levels[pair]];
    degree[b] += power[levels[pair]];
  });
  return { from: Int32Array.from(from), to: Int32Array.from(to), weight: Float64Array.from(weight), degree };
}

function spread({ from, to, weight }, x) {
  const out = Float64Array.from(x); // a cell's affinity to itself is 1
  for (let k = 0; k < weight.length; k++) {
    out[from[k]] += weight[k] * x[to[k]];
    out[to[k]] += weight[k] * x[from[k]];
  }
  return out;
}

/** Probability to be in each cell after so many steps from one: its row of T to that power. */
export function walker(way, cell, steps) {
  let now = new Float64Array(way.degree.length);
  now[cell] = 1;
  for (let t = 0; t < steps; t++) now = spread(way, now.map((p, i) => p / way.degree[i]));
  return now;
}

/** Scores after so many steps: each is the mean of the old ones where its walker may be. */
export function walked(way, scores, steps) {
  let now = Float64Array.from(scores);
  for (let t = 0; t < steps; t++) now = spread(way, now).map((s, i) => s / way.degree[i]);
  return now;
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

// ------------------------------------------------------------------------------------------- drawing

const STYLE = `
common.css
affinities.css`;

function render({ model, el }) {
  const grid = model.get("content");
  const { height, width, lengths, names } = grid;
  const pictures = grid.pictures.map((p) => ({ ...p, ...Object.fromEntries(["affinities", "map", "mask"].map((key) => [key, p[key] && bytes(p[key])])) }));
  const root = el.appendChild(document.createElement("div")).attachShadow({ mode: "open" });
  const views = [["affinities", "affinities of the cell"], ["walk", "a walk from the cell"], ...(pictures.every((p) => p.map) ? [["map", "the map on its walk"]] : [])];

  root.innerHTML = `<style>${STYLE}</style><section role="group" aria-label="Affinity explorer">
    ${choices("view", "Show", views)}
    <div><div class="stage" tabindex="0" role="application" aria-roledescription="grid of cells" aria-describedby="help"><img alt=""><canvas width="${width}" height="${height}"></canvas><svg aria-hidden="true" viewBox="0 0 ${width} ${height}" preserveAspectRatio="none"></svg></div>
      <p class="legend" aria-hidden="true"><span>0 <i style="background: linear-gradient(90deg, ${HEAT.filter((_, l) => l % 15 === 0).map((c) => `rgb(${c})`)})"></i> <b></b></span></p>
      <p class="note" id="help">Point at a cell; a click or a tap keeps it. With the keyboard, focus the picture and use the arrow keys.</p></div>
    <div class="panel"><div class="score"><b></b><span></span></div><p class="note"></p></div>
    <div class="wide slide"><label for="steps">Steps</label><input id="steps" type="range" min="0" max="${lengths.length - 1}" step="1"><output for="steps" aria-live="off"></output></div>
    ${choices("picture", "Picture", pictures.map((p, i) => [i, `<img src="${p.src}" alt="">${escape(p.title)}`]), "thumb")}
    <p class="unseen" role="status"></p></section>`;
  const $ = (selector) => root.querySelector(selector);
  const [stage, slider] = [$(".stage"), $("input[type=range]")];
  const ways = pictures.map(() => null); // made when first walked
  const wayOf = (picture) => (ways[picture] ??= walkway(grid, pictures[picture].affinities));
  const afterSteps = (steps) => `after ${steps} step${steps === 1 ? "" : "s"}`;
  const called = (value) => names[value] ?? "unknown";
  let hovered = null; // the cell under the pointer, until it leaves

  /** What is shown of a cell: a level from 0 to 255 for each cell, -1 for none; a number, and sentences. */
  function told(cell) {
    const [picture, steps] = [model.get("picture"), model.get("steps")];
    const { affinities, map, mask } = pictures[picture];
    const [row, column] = [Math.floor(cell / width), cell % width];
    if (model.get("view") === "map") {
      const after = walked(wayOf(picture), map, steps);
      const top = Math.max(...after) || 1;
      return { levels: after.map((v) => (255 * v) / top), top: top / 255, value: number(after[cell] / 255), noun: `score of the cell ${afterSteps(steps)}`, text: `Before the walk it was ${number(map[cell] / 255)}; the largest of all is now ${number(top / 255)}.` };
    }
    if (model.get("view") === "walk") {
      const there = walker(wayOf(picture), cell, steps);
      const top = Math.max(...there);
      const away = there.reduce((sum, p, i) => sum + p * Math.hypot(Math.floor(i / width) - row, (i % width) - column), 0);
      const home = mask && there.reduce((sum, p, i) => sum + (mask[i] === mask[cell] ? p : 0), 0);
      const share = mask ? `${Math.round(100 * home)} % of it lies on ${called(mask[cell])}, where the cell is.` : "";
      return { levels: there.map((p) => (255 * p) / top), top, value: number(away), noun: `cells away on average ${afterSteps(steps)}`, text: `A walker from the cell is there with this probability, and the cell's new score is the mean of the old ones there. ${share}` };
    }
    const levels = neighborhood(grid, affinities, cell);
    const near = [...levels.keys()].filter((i) => levels[i] >= 0 && i !== cell);
    const of = (cells) => (cells.length ? number(mean(cells.map((i) => levels[i])) / 255) : "none");
    const sides = [["right", 0, 1], ["left", 0, -1], ["above", -1, 0], ["below", 1, 0]]
      .filter(([, dy, dx]) => row + dy >= 0 && row + dy < height && column + dx >= 0 && column + dx < width)
      .map(([side, dy, dx]) => `${side} ${number(levels[cell + dy * width + dx] / 255)}`);
    const split = mask ? ` On average ${of(near.filter((i) => mask[i] === mask[cell]))} to cells of ${called(mask[cell])}, as it is, ${of(near.filter((i) => mask[i] !== mask[cell]))} to others.` : "";
    return { levels, value: of(near), noun: `mean affinity to its ${near.length} neighbors`, text: `Next to it: ${sides.join(", ")}.${split}` };
  }

  function draw() {
    const picture = pictures[model.get("picture")];
    const cell = hovered ?? model.get("cell");
    const [row, column] = [Math.floor(cell / width), cell % width];
    const { levels, top, value, noun, text } = told(cell);
    const near = model.get("view") === "affinities";
    const pixels = new ImageData(width, height);
    levels.forEach((level, i) => pixels.data.set(level < 0 ? [0, 0, 0, 110] : [...HEAT[Math.round(level)], near ? 205 : 60 + 0.6 * level], 4 * i));
    $("canvas").getContext("2d").putImageData(pixels, 0, 0);
    Object.assign($(".stage img"), { src: picture.src }).style.cssText = `aspect-ratio: ${width} / ${height}; image-rendering: ${picture.fine ? "auto" : "pixelated"}`;
    const outline = picture.mask ? [...new Set(picture.mask)].filter((v) => v > 0 && v < 255).map((v) => `<path class="truth" d="${border(picture.mask.map((m) => +(m === v)), width, height)}"/>`) : [];
    const at = `x="${column}" y="${row}" width="1" height="1"`;
    $("svg").innerHTML = `${outline.join("")}<rect class="casing" ${at}/><rect class="cell" ${at}/>`;
    $(".legend b").textContent = near ? "1" : number(top);
    $(".score b").textContent = value;
    $(".score span").textContent = noun;
    $(".panel .note").textContent = text;
    slider.value = lengths.indexOf(model.get("steps"));
    slider.disabled = near;
    slider.setAttribute("aria-valuetext", afterSteps(model.get("steps")));
    $("output").value = model.get("steps");
    root.querySelectorAll("input[type=radio]").forEach((r) => (r.checked = r.value === String(model.get(r.name))));
    const place = `${picture.title}, row ${row + 1}, column ${column + 1}${picture.mask ? `, ${called(picture.mask[cell])}` : ""}`;
    stage.ariaLabel = `${place}: ${value} ${noun}. ${text}`;
    if (hovered === null) $("[role=status]").textContent = `${place}: ${value} ${noun}`;
  }

  let waiting = 0;
  const later = () => (waiting ||= requestAnimationFrame(() => { waiting = 0; draw(); }));
  const set = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const cellAt = (event) => {
    const frame = stage.getBoundingClientRect();
    const along = (at, size, count) => Math.min(Math.max(Math.floor((at / size) * count), 0), count - 1);
    return along(event.clientY - frame.top, frame.height, height) * width + along(event.clientX - frame.left, frame.width, width);
  };
  const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -width], End: [0, width] };
  stage.addEventListener("pointermove", (event) => { hovered = cellAt(event); later(); });
  stage.addEventListener("pointerdown", (event) => set("cell", cellAt(event)));
  ["pointerleave", "pointercancel"].forEach((kind) => stage.addEventListener(kind, () => { hovered = null; later(); }));
  stage.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step) return;
    event.preventDefault();
    hovered = null;
    const [row, column] = [Math.floor(model.get("cell") / width), model.get("cell") % width];
    const inside = (at, count) => Math.min(Math.max(at, 0), count - 1);
    set("cell", inside(row + step[0], height) * width + inside(column + step[1], width));
  });
  slider.addEventListener("input", () => set("steps", lengths[Number(slider.value)]));
  root.querySelectorAll("input[type=radio]").forEach((r) => r.addEventListener("change", () => set(r.name, r.name === "view" ? r.value : Number(r.value))));
  const heard = ["picture", "cell", "view", "steps"].map((name) => `change:${name}`);
  heard.forEach((event) => model.on(event, later));
  draw();
  return () => heard.forEach((event) => model.off(event, later));
}
