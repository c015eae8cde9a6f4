// The laboratory: a scene to take apart and networks that answer while the reader drags, paints and swaps.
//
// One module, two hosts, as the threshold explorer: a live notebook calls the default export (anywidget's
// `render`), a static page calls `mount`. The picture is drawn and the networks run right here.

import { HEAT, bytes, escape } from "./common.mjs";
import { PARTS, draw, grid, grow, movedTo, withBodyOf } from "./critters.mjs";
import { open, run } from "./network.mjs";

const [SEEN, MOVING, SHOWN] = [64, 128, 256]; // sides of the picture: for the networks, on the screen while it changes, at rest
const MOST = 4; // animals
const STYLE = `
common.css
laboratory.css`;

const text = (values) => btoa(String.fromCharCode(...values));
const percent = (share) => `${Math.round(100 * share)}\u00a0%`;
const signed = (score) => score.toFixed(1).replace(/^-0\.0$/, "0.0").replace("-", "\u2212");

// --------------------------------------------------------------------------------------- arithmetic

/** What the networks see: 8 bits a channel, and their mean color wherever the brush was. */
export function seen(light, gray, mean) {
  const area = light.length / 3;
  return light.map((v, k) => (gray[(k % area) >> 3] >> (k % area & 7) & 1 ? mean[Math.floor(k / area)] : Math.round(255 * v) / 255));
}

export const sigmoid = (score) => 1 / (1 + Math.exp(-score));

export function softmax(scores) {
  const most = Math.max(...scores);
  const powers = Array.from(scores, (s) => Math.exp(s - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / sum);
}

/** A map at the size of the picture, bilinear. */
export const enlarged = (map, side, size) => grow({ height: side, width: side, at: map }, grid(size, size), 0).at;

/** Shares of a map's positive evidence that lie on the head, the body, the limbs and the landscape. */
export function evidence(levels, owners, parts) {
  const found = [0, 0, 0, 0];
  levels.forEach((v, at) => (found[owners[at] < 0 ? 3 : parts[at]] += Math.max(v, 0)));
  const sum = found.reduce((a, b) => a + b, 0) || 1;
  return found.map((v) => v / sum);
}

/** The scene with another animal in place of one, sorted so that who stands nearer is drawn later. */
export function exchanged(scene, old, fresh) {
  const critters = scene.critters.filter((c) => c !== old).concat(fresh ?? []);
  return { ...scene, critters: critters.sort((a, b) => a.y - b.y) };
}

/** A newcomer: the next species that is not there yet, in its own body, beside an animal. */
export function newcomer(world, scene, beside) {
  const names = Object.keys(world.species);
  const species = names.find((name) => !scene.critters.some((c) => c.species === name));
  const twin = { ...beside, species, facing: -beside.facing, missing: [] };
  return movedTo(withBodyOf(world, twin, species), beside.x < 0.5 ? 0.76 : 0.24, Math.min(beside.y + 0.02, 0.97));
}

// ------------------------------------------------------------------------------------------ the page

const option = (value, chosen) => `<option${value === chosen ? " selected" : ""}>${escape(value)}</option>`;

function render({ model, el }) {
  const { world, networks: files, scenes } = model.get("content");
  const networks = files.map((given) => ({ ...given, ...(given.file && open(bytes(given.file))) }));
  const names = networks[0].names;
  const root = el.appendChild(document.createElement("div")).attachShadow({ mode: "open" });
  const radios = (name, title, labels, values = labels) =>
    `<fieldset class="set all-${name}"><legend>${title}</legend>${labels
      .map((label, i) => `<label class="choice"><input type="radio" name="${name}" value="${escape(values[i])}"><span>${escape(label)}</span></label>`)
      .join("")}</fieldset>`;
  const several = networks.length > 1;

  root.innerHTML = `<style>${STYLE}</style><section role="group" aria-label="Laboratory" class="${several ? "several" : ""}">
    ${scenes.length > 1 ? radios("start", "Scene", scenes.map((s) => s.title), scenes.map((_, i) => String(i))) : ""}
    ${several ? `<fieldset class="set wide"><legend>Networks</legend>${networks.map((n, i) => `<label class="check"><input type="checkbox" name="network" value="${i}" ${i < 2 ? "checked" : ""}>${escape(n.title)}</label>`).join("")}</fieldset>` : ""}
    <div class="views">${networks.map((n, i) => `<figure class="n${i}">
      <div class="stage" tabindex="0" role="application" aria-roledescription="picture" aria-describedby="help"><canvas></canvas><canvas class="heat" width="${SEEN}" height="${SEEN}"></canvas><canvas class="gray" width="${SEEN}" height="${SEEN}"></canvas><i hidden></i></div>
      <figcaption><b>${escape(n.title)}</b> <span></span></figcaption></figure>`).join("")}</div>
    <div class="panel"><table><caption>Scores: whose map is shown?</caption><thead><tr><th scope="col">species</th>${networks.map((n, i) => `<th scope="col" class="n${i}">${several ? escape(n.title) : "score"}</th>`).join("")}</tr></thead>
      <tbody>${["the best", ...names].map((name, c) => `<tr><th scope="row"><label class="choice"><input type="radio" name="label" value="${c ? name : ""}"><span>${name}</span></label></th>${networks.map((_, i) => `<td class="n${i}"></td>`).join("")}</tr>`).join("")}</tbody></table></div>
    <p class="wide note evidence"></p>
    <div class="wide tools">
      ${radios("tool", "Pointer", ["drag", "gray brush", "clean"])}
      <label>brush <input type="range" name="brush" min="2" max="20" value="8" aria-label="Width of the brush in pixels of 64"></label>
      <button type="button" name="wipe">all clean</button>
      <label class="check"><input type="checkbox" name="heat" checked>heat map</label></div>
    <div class="wide tools animal">
      <fieldset class="set who"><legend>Animal</legend></fieldset>
      <label>head of <select name="head"></select></label>
      <label>body of <select name="body"></select></label>
      ${PARTS.map((part) => `<label class="check"><input type="checkbox" name="has ${part}">${part}</label>`).join("")}
      <label>size <input type="range" name="scale" min="0.2" max="1.1" step="0.01" aria-label="Length of the animal in picture widths"></label>
      <button type="button" name="turn">turn round</button><button type="button" name="add">add an animal</button><button type="button" name="remove">remove it</button></div>
    <div class="wide tools"><label>landscape <select name="background"></select></label>
      <label class="check"><input type="checkbox" name="things">things</label>
      <button type="button" name="again">start again</button></div>
    <p class="wide note" id="help">Drag an animal, or focus the picture and use the arrow keys; with the brush, arrow keys move it and the space bar paints.</p>
    <p class="unseen" role="status" aria-live="polite"></p></section>`;
  const $ = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const networksOn = () => all("[name=network]").map((c) => c.checked);
  const field = (name) => $(`[name="${name}"]`);

  let [start, selected, tool, seenAt, peaks, waiting, resting] = [0, 0, "drag", null, networks.map(() => 0), 0, 0];
  const cursor = { x: 32, y: 32 };
  const scene = () => model.get("scene");
  const chosen = () => scene().critters[Math.min(selected, scene().critters.length - 1)];
  const gray = () => (model.get("gray") ? bytes(model.get("gray")) : new Uint8Array((SEEN * SEEN) / 8));
  const set = (changes) => {
    Object.entries(changes).forEach(([name, value]) => model.set(name, value));
    model.save_changes();
  };
  const exchange = (fresh) => {
    const next = exchanged(scene(), chosen(), fresh);
    selected = Math.max(0, next.critters.indexOf(fresh));
    set({ scene: next });
  };

  /** Put a picture of `size` x `size` pixels on a canvas; `color(at, c)` from 0 to 255, c = 3 is opacity. */
  function paint(canvas, size, color) {
    const pixels = new ImageData(size, size);
    for (let k = 0; k < pixels.data.length; k++) pixels.data[k] = color(k >> 2, k & 3);
    Object.assign(canvas, { width: size, height: size }).getContext("2d").putImageData(pixels, 0, 0);
  }
  function paintScene(size) {
    const [{ light }, area] = [draw(world, scene(), size), size * size];
    all(".stage > canvas:first-child").forEach((canvas) => paint(canvas, size, (at, c) => (c < 3 ? 255 * light[c * area + at] : 255)));
  }

  /** Fetch a network that is not in the page; a script, since pages from disk may fetch nothing else. */
  function load(network) {
    if (network.state) return;
    network.state = "is on its way";
    const tag = Object.assign(document.createElement("script"), { src: network.script });
    tag.onload = () => { Object.assign(network, open(bytes(globalThis.wsolNetworks[network.name]))); later(); };
    tag.onerror = () => { network.state = "could not be loaded"; later(); };
    document.head.append(tag);
  }

  /** Draw, ask the networks, show what they say; when all has come to rest, draw finer and speak. */
  function update() {
    waiting = 0;
    const [now, mask] = [scene(), gray()];
    seenAt = draw(world, now, SEEN);
    paintScene(MOVING);
    const answers = {};
    const sentences = networks.map((network, i) => {
      all(`figure.n${i}, th.n${i}, td.n${i}`).forEach((e) => (e.hidden = several && !networksOn()[i]));
      if (several && !networksOn()[i]) return "";
      const [{ title, mean }, view] = [network, all("figure")[i]];
      if (!network.layers) {
        load(network);
        view.querySelector("span").textContent = network.state;
        return "";
      }
      const { scores, map: mapOf, side } = run(network, seen(seenAt.light, mask, mean));
      const shares = network.method === "seenet" ? Array.from(scores, sigmoid) : softmax(scores); // as it was trained
      const best = shares.indexOf(Math.max(...shares));
      const shown = model.get("label") ? names.indexOf(model.get("label")) : best;
      const map = mapOf(shown);
      const levels = enlarged(map, side, SEEN);
      peaks[i] = Math.max(peaks[i], ...map);
      const level = (at) => Math.min(Math.max(levels[at], 0) / (peaks[i] || 1), 1);
      paint(view.querySelector(".heat"), SEEN, (at, c) => (c < 3 ? HEAT[Math.round(255 * level(at))][c] : 255 * (0.1 + 0.6 * level(at))));
      paint(view.querySelector(".gray"), SEEN, (at, c) => 255 * (mask[at >> 3] >> (at & 7) & 1) * (c < 3 ? mean[c] : 1));
      const says = `${names[best]} ${percent(shares[best])}`;
      view.querySelector("span").textContent = `says ${says}`;
      all(`td.n${i}`).forEach((cell, c) => {
        cell.innerHTML = c ? `<i style="width:${(100 * shares[c - 1]).toFixed(1)}%"></i><span>${signed(scores[c - 1])}</span> ${percent(shares[c - 1])}` : "";
        cell.classList.toggle("best", c - 1 === best);
      });
      answers[title] = { scores: Object.fromEntries(names.map((name, c) => [name, scores[c]])), label: names[shown], map: [...map] };
      const [head, body, limbs, beyond] = evidence(levels, seenAt.owners, seenAt.parts).map(percent);
      const lies = `evidence for ${names[shown]}: ${head} on heads, ${body} on bodies, ${limbs} on limbs, ${beyond} in the landscape`;
      view.querySelector(".stage").setAttribute("aria-label", `${now.critters.map((c) => c.species).join(" and ") || "nobody"} on ${now.background}. ${title} says ${says}; ${lies}.`);
      return several ? `${title}, ${lies}.` : `${lies[0].toUpperCase()}${lies.slice(1)}.`;
    });
    $("table").classList.toggle("crowded", sentences.filter(Boolean).length > 2);
    $(".evidence").innerHTML = sentences.filter(Boolean).map(escape).join("<br>");
    controls(now);
    clearTimeout(resting);
    resting = setTimeout(() => {
      paintScene(SHOWN);
      $("[role=status]").textContent = all("figure:not([hidden]) figcaption").map((c) => c.textContent).join("; ");
      set({ answers });
    }, 200);
  }
  const later = () => (waiting ||= requestAnimationFrame(update));

  /** Show in the controls what is so. */
  function controls(now) {
    const one = chosen();
    all(".animal :is(select, input, button)").forEach((c) => (c.disabled = !one));
    field("add").disabled = !one || now.critters.length >= MOST;
    field("things").disabled = !scenes[start].scene.things.length;
    $(".who").innerHTML = `<legend>Animal</legend>${now.critters.map((c, k) => `<label class="choice"><input type="radio" name="animal" value="${k}" ${c === one ? "checked" : ""}><span>${escape(c.species)}</span></label>`).join("")}`;
    field("background").innerHTML = Object.keys(world.backgrounds).map((name) => option(name, now.background)).join("");
    field("things").checked = now.things.length > 0;
    field("heat").checked = !root.host.classList.contains("bare");
    const values = { tool, label: model.get("label"), start: String(start) };
    all("input[type=radio]:not([name=animal])").forEach((r) => (r.checked = r.value === values[r.name]));
    all(".stage i").forEach((i) => {
      const wide = Number(field("brush").value);
      i.hidden = tool === "drag";
      Object.assign(i.style, { left: `${(100 * cursor.x) / SEEN}%`, top: `${(100 * cursor.y) / SEEN}%`, width: `${(100 * wide) / SEEN}%` });
    });
    if (!one) return;
    const own = names.find((name) => ["plan", "pattern"].every((k) => world.species[name][k] === one.body[k]) && String(world.species[name].coat) === String(one.body.coat));
    field("head").innerHTML = names.map((name) => option(name, one.species)).join("");
    field("body").innerHTML = (own ? "" : "<option selected disabled>nobody</option>") + names.map((name) => option(name, own)).join("");
    PARTS.forEach((part) => (field(`has ${part}`).checked = !one.missing.includes(part)));
    field("scale").value = one.scale;
  }

  /** Paint gray, or clean, a disc of the brush's width around the cursor. */
  function brush() {
    const [mask, reach] = [gray(), Number(field("brush").value) / 2];
    for (let at = 0; at < SEEN * SEEN; at++) {
      const [dx, dy] = [(at % SEEN) + 0.5 - cursor.x, Math.floor(at / SEEN) + 0.5 - cursor.y];
      if (dx * dx + dy * dy > reach * reach) continue;
      mask[at >> 3] = tool === "clean" ? mask[at >> 3] & ~(1 << (at & 7)) : mask[at >> 3] | (1 << (at & 7));
    }
    set({ gray: mask.some((b) => b) ? text(mask) : "" });
  }
  const move = (dx, dy) => {
    const one = chosen();
    if (one) exchange(movedTo(one, Math.min(Math.max(one.x + dx, 0), 1), Math.min(Math.max(one.y + dy, 0.2), 1.2)));
  };

  let held = null;
  const point = (event) => {
    if (event.type === "pointermove" && !held) return;
    const frame = event.currentTarget.getBoundingClientRect();
    const [x, y] = [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
    if (event.type === "pointerdown") {
      event.currentTarget.setPointerCapture(event.pointerId);
      const owner = seenAt.owners[Math.floor(y * SEEN) * SEEN + Math.floor(x * SEEN)];
      if (tool === "drag" && owner >= 0) selected = owner;
      held = { x, y };
    }
    if (tool === "drag") move(x - held.x, y - held.y);
    else {
      Object.assign(cursor, { x: x * SEEN, y: y * SEEN });
      brush();
    }
    held = { x, y };
  };
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const press = (event) => {
    const [arrow, step] = [ARROWS[event.key], event.shiftKey ? 1 : 2];
    if (!arrow && !(event.key === " " && tool !== "drag")) return;
    event.preventDefault();
    if (!arrow) brush();
    else if (tool === "drag") move((arrow[0] * step) / SEEN, (arrow[1] * step) / SEEN);
    else {
      Object.assign(cursor, { x: Math.min(Math.max(cursor.x + arrow[0] * step, 0), SEEN), y: Math.min(Math.max(cursor.y + arrow[1] * step, 0), SEEN) });
      controls(scene());
      $("[role=status]").textContent = `brush ${cursor.x} of ${SEEN} from the left, ${cursor.y} from the top`;
    }
  };
  all(".stage").forEach((stage) => {
    ["pointerdown", "pointermove"].forEach((kind) => stage.addEventListener(kind, point));
    ["pointerup", "pointercancel"].forEach((kind) => stage.addEventListener(kind, () => (held = null)));
    stage.addEventListener("keydown", press);
  });

  const again = () => {
    [selected, peaks] = [0, networks.map(() => 0)];
    set({ scene: scenes[start].scene, gray: "", label: "" });
  };
  const part = (name, there) => exchange({ ...chosen(), missing: PARTS.filter((p) => (p === name ? !there : chosen().missing.includes(p))) });
  const resize = (scale) => exchange({ ...chosen(), scale, ground: [chosen().ground[0], chosen().ground[1], 0.52 * scale] });
  const changes = {
    start: (value) => { start = Number(value); again(); },
    label: (value) => set({ label: value }),
    tool: (value) => { tool = value; controls(scene()); },
    brush: () => controls(scene()),
    network: later,
    heat: (_, on) => root.host.classList.toggle("bare", !on),
    animal: (value) => { selected = Number(value); controls(scene()); $(".who input:checked").focus(); },
    head: (value) => exchange({ ...chosen(), species: value }),
    body: (value) => exchange(withBodyOf(world, chosen(), value)),
    ...Object.fromEntries(PARTS.map((name) => [`has ${name}`, (_, there) => part(name, there)])),
    scale: (value) => resize(Number(value)),
    background: (value) => set({ scene: { ...scene(), background: value } }),
    things: (_, there) => set({ scene: { ...scene(), things: there ? scenes[start].scene.things : [] } }),
  };
  const clicks = {
    wipe: () => set({ gray: "" }),
    turn: () => exchange({ ...chosen(), facing: -chosen().facing }),
    add: () => {
      const fresh = newcomer(world, scene(), chosen());
      const next = exchanged(scene(), null, fresh);
      selected = next.critters.indexOf(fresh);
      set({ scene: next });
    },
    remove: () => exchange(null),
    again,
  };
  root.addEventListener("input", ({ target }) => changes[target.name]?.(target.value, target.checked));
  root.addEventListener("click", ({ target }) => clicks[target.name]?.());
  const heard = ["change:scene", "change:gray", "change:label"];
  heard.forEach((event) => model.on(event, later));
  update();
  return () => heard.forEach((event) => model.off(event, later));
}
