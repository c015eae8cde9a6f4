// The world of critters in the page: the drawing of wsolbook.data.critters, line for line.
//
// Double precision, the same operations in the same order: what comes out equals Python's picture, byte for byte.
// `world` holds what Python hands over: palettes, figures as layers of paint, bodies, patterns.

const FAR = 99;
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const rgb = (code) => [1, 3, 5].map((i) => parseInt(code.slice(i, i + 2), 16) / 255);
const radians = (degrees) => degrees * (Math.PI / 180);

// ------------------------------------------------------------------------------------ interventions

/** The animal with the trunk, limbs and coat of a species; its head and its feet stay put. */
export function withBodyOf(world, critter, species) {
  const { plan, pattern, coat } = world.species[species];
  const [before, after] = [world.bodies[critter.body.plan].neck, world.bodies[plan].neck];
  const growth = before[1] / after[1];
  const [dx, dy] = [critter.facing * (before[0] - growth * after[0]), before[1] - growth * after[1]];
  const [cos, sin] = [Math.cos(radians(critter.angle)), Math.sin(radians(critter.angle))];
  return {
    ...critter,
    body: { ...critter.body, plan, pattern, coat },
    x: critter.x + (critter.scale / 2) * (cos * dx - sin * dy),
    y: critter.y + (critter.scale / 2) * (sin * dx + cos * dy),
    scale: critter.scale * growth,
    swell: critter.swell / growth,
  };
}

/** The animal with its feet, and its shadow with them, at another place. */
export const movedTo = (critter, x, y) => ({
  ...critter, x, y, ground: [critter.ground[0] + x - critter.x, critter.ground[1] + y - critter.y, critter.ground[2]],
});

// ---------------------------------------------------------------------------------------- landscape

function scramble(x) {
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

export const grid = (height, width) => ({ height, width, at: new Float64Array(height * width) });

function fill(g, key, slot) {
  for (let k = 0; k < g.at.length; k++) g.at[k] = (scramble((scramble(++slot) + key) >>> 0) >>> 8) * 2 ** -24;
  return slot;
}

/** Resample a grid bilinearly; what the finer one holds already is added with `weight`. */
export function grow(coarse, fine, weight) {
  const { height: rows, width: columns, at: from } = coarse;
  const { height, width, at: to } = fine;
  const places = Array.from({ length: width }, (_, j) => Math.max(((j + 0.5) * columns) / width - 0.5, 0));
  for (let i = 0; i < height; i++) {
    const y = Math.max(((i + 0.5) * rows) / height - 0.5, 0);
    const top = Math.trunc(y);
    const [below, v] = [Math.min(top + 1, rows - 1), y - top];
    for (let j = 0; j < width; j++) {
      const a = Math.trunc(places[j]);
      const [b, u] = [Math.min(a + 1, columns - 1), places[j] - a];
      const upper = from[top * columns + a] + (from[top * columns + b] - from[top * columns + a]) * u;
      const lower = from[below * columns + a] + (from[below * columns + b] - from[below * columns + a]) * u;
      to[i * width + j] = upper + (lower - upper) * v + weight * to[i * width + j];
    }
  }
  return fine;
}

/** Four planes of noise about 0: soft, fine, upright streaks and level streaks. */
function noise(key, size) {
  const [g4, g8, g16, g32, g64] = [4, 8, 16, 32, 64].map((n) => grid(n, n));
  const [upright, level] = [grid(7, 44), grid(32, 5)];
  let slot = 0;
  for (const g of [g4, g8, g16, g32, g64, upright, level]) slot = fill(g, key, slot);
  grow(g4, g8, 0.5);
  grow(g8, g16, 0.25);
  grow(g32, g64, 0.7);
  let finest = g64;
  if (size > 64) {
    finest = grid(128, 128);
    fill(finest, key, slot);
    grow(g64, finest, 0.6);
  }
  const planes = [
    [grow(g16, grid(32, 32), 0), 0.5, 1.75],
    [finest, (0.5 * (size > 64 ? 2.3 : 1.7)) / 1.7, 1.7],
    [grow(upright, grid(48, 48), 0), 0.5, 1],
    [grow(level, grid(40, 40), 0), 0.5, 1],
  ];
  return planes.map(([coarse, mean, total]) => grow(coarse, grid(size, size), 0).at.map((x) => x / total - mean));
}

function ramp(x, low, high) {
  const t = clamp((x - low) / (high - low), 0, 1);
  return t * t * (3 - 2 * t);
}

/** Sky, clouds, distant hills, trunks, the ground with its texture, and specks; and the fine noise, for fur. */
function landscape(world, scene, size) {
  const { colors, strengths, horizon: [low, high] } = world.backgrounds[scene.background];
  const [clouds, trunks, blades, waves, patches, grain, specks] = strengths;
  const [soft, fine, upright, level] = noise(scene.noise, size);
  const [h, area] = [low + (high - low) * scene.horizon, size * size];
  const light = new Float32Array(3 * area);
  for (let i = 0; i < size; i++) {
    const y = (i + 0.5) / size;
    const height = Math.min(y / h, 1);
    for (let j = 0; j < size; j++) {
      const at = i * size + j;
      const skyline = h + soft[2 * size + j] * 0.16;
      const ridge = skyline - 0.05 - Math.abs(soft[(size - 3) * size + j]) * 0.3;
      const cloud = ramp(soft[at] * 1.3 + level[at] * 0.35, -0.02, 0.3) * clouds;
      const hill = clamp((y - ridge) * size + 0.5, 0, 1) * 0.85;
      const trunk = ramp(upright[j] + 0.1 * upright[at], 0.06, 0.16) * trunks * (1 - 0.5 * Math.abs(fine[at]));
      const ground = clamp((y - skyline) * size + 0.5, 0, 1);
      const depth = clamp((y - skyline) / Math.max(1 - h, 0.2), 0, 1);
      const strand = ramp(upright[at] * 0.8 + fine[at] * 1.1, -0.1, 0.4) * blades;
      const swell = ramp(level[at] * 1.1 + soft[at] * 0.6 + fine[at] * 0.25, 0, 0.35) * waves;
      const texture = Math.max(strand, swell) * 0.55;
      const speck = ramp(fine[at], 0.27, 0.36) * specks * ground;
      const glow = 1 + soft[at] * patches + fine[at] * (grain * 0.22 + 0.06);
      for (let c = 0; c < 3; c++) {
        let value = colors[0][c] + (colors[1][c] - colors[0][c]) * height;
        value += (colors[2][c] - value) * cloud;
        value += (colors[3][c] - value) * hill;
        value += (colors[6][c] - value) * trunk;
        let floor = colors[4][c] + (colors[5][c] - colors[4][c]) * depth;
        floor += (colors[7][c] - floor) * texture;
        value += (floor - value) * ground;
        value += (colors[8][c] - value) * speck;
        light[c * area + at] = clamp(value * scene.tint[c] * glow, 0, 1);
      }
    }
  }
  return { light, fine };
}

// ------------------------------------------------------------------------------------------ figures

/** Capsules as `distance` needs them: axis, length, radii and bend. */
function prepare(capsules, stride) {
  const ready = new Float64Array(9 * capsules.length);
  capsules.forEach((c, k) => {
    const [x0, x1] = [c[0] + c[7] * stride, c[2] + c[8] * stride];
    const length = Math.sqrt((x1 - x0) * (x1 - x0) + (c[3] - c[1]) * (c[3] - c[1]));
    const inverse = length > 1e-3 ? 1 / length : 0;
    const [cos, sin] = length > 1e-3 ? [(x1 - x0) * inverse, (c[3] - c[1]) * inverse] : [1, 0];
    ready.set([cos, sin, x0 * cos + c[1] * sin, c[1] * cos - x0 * sin, length, inverse, c[4], c[5] - c[4], 4 * c[6]], 9 * k);
  });
  return ready;
}

/** Signed distance of a point to the union of bent, tapered capsules, their joints rounded by `smooth`. */
function distance(x, y, ready, smooth) {
  let nearest = FAR;
  for (let k = 0; k < ready.length; k += 9) {
    let u = x * ready[k] + y * ready[k + 1] - ready[k + 2];
    let v = y * ready[k] - x * ready[k + 1] - ready[k + 3];
    const foot = Math.min(Math.max(u, 0), ready[k + 4]);
    const along = foot * ready[k + 5];
    v += along * (1 - along) * ready[k + 8];
    u -= foot;
    const d = Math.sqrt(u * u + v * v) - along * ready[k + 7] - ready[k + 6];
    const near = smooth - Math.abs(nearest - d);
    nearest = Math.min(nearest, d);
    if (near > 0) nearest -= (near * near) / (4 * smooth);
  }
  return nearest;
}

function wave(turns) {
  const t = 2 * (turns - Math.floor(turns)) - 1;
  return 4 * t * (1 - Math.abs(t));
}

/** Darken the ground in a flat ellipse. */
function shadow(light, size, [x, y, width], darkness) {
  const [height, area] = [0.22 * width, size * size];
  for (let i = Math.max(0, Math.trunc((y - height) * size)); i < Math.min(size, Math.trunc((y + height) * size) + 1); i++) {
    const v = ((i + 0.5) / size - y) / height;
    for (let j = Math.max(0, Math.trunc((x - width) * size)); j < Math.min(size, Math.trunc((x + width) * size) + 1); j++) {
      const u = ((j + 0.5) / size - x) / width;
      const depth = Math.max(1 - u * u - v * v, 0) * darkness;
      for (let c = 0; c < 3; c++) light[c * area + i * size + j] *= 1 - depth;
    }
  }
}

/** Paint the layers of a figure, and hand their pixels to its parts. */
function figure(piece, size, fine, light, shares) {
  const { x, y, unit, facing, head, look, shade, stride } = piece;
  const [cos, sin, pixel, area] = [Math.cos(piece.angle), Math.sin(piece.angle), 1 / (size * unit), size * size];
  const [coverBelow, glowBelow, above] = [new Float64Array(area), new Float64Array(area), new Float64Array(size)];
  piece.layers.forEach((layer, number) => {
    if (!layer.capsules.length || piece.missing[layer.part]) return;
    const ready = prepare(layer.capsules, stride);
    const aside = look * layer.depth;
    const squeeze = Math.max(0.9 * look * layer.depth, 0);
    let [left, right, top, bottom] = [9, -9, 9, -9];
    for (const c of layer.capsules)
      for (const end of [0, 2])
        for (const side of [1, head ? -1 : 1]) {
          const [a, b] = [side * (c[end] + c[7 + end / 2] * stride) + aside, c[end + 1]];
          const [u, v] = [x + unit * (cos * facing * a - sin * b), y + unit * (sin * facing * a + cos * b)];
          let reach = Math.abs(c[6]) + layer.smooth / 4 + layer.soft + 1.5 * pixel;
          reach = unit * (reach + c[4 + end / 2]) * (1 + 0.3 * squeeze);
          [left, right] = [Math.min(left, u - reach), Math.max(right, u + reach)];
          [top, bottom] = [Math.min(top, v - reach), Math.max(bottom, v + reach)];
        }
    if (piece.layers[number + 1]?.clip && !layer.clip) coverBelow.fill(0);
    above.fill(FAR);
    const own = [layer.red, layer.green, layer.blue];
    let color = own.map((v) => v * shade);
    if (layer.dye === "coat" || layer.dye === "pattern") color = own.map((v, c) => piece.coat[c] * v);
    if (layer.dye === "pale") color = own.map((_, c) => piece.coat[c] * 0.55 + 0.45);
    const width = Math.max(pixel, layer.soft);
    const [first, last] = [Math.max(0, Math.trunc(left * size)), Math.min(size, Math.trunc(right * size) + 1)];
    for (let i = Math.max(0, Math.trunc(top * size)); i < Math.min(size, Math.trunc(bottom * size) + 1); i++)
      for (let j = first; j < last; j++) {
        const at = i * size + j;
        if (layer.clip && coverBelow[at] === 0) continue;
        const [dx, dy] = [(j + 0.5) / size - x, (i + 0.5) / size - y];
        let px = ((dx * cos + dy * sin) * facing) / unit;
        const py = (dy * cos - dx * sin) / unit;
        if (head) {
          px -= aside;
          px = Math.abs(px) * (px > 0 ? 1 + squeeze : 1 / (1 + 0.3 * squeeze));
        }
        const d = distance(px, py, ready, layer.smooth);
        const slope = above[j] < FAR ? (d - above[j]) / pixel : 0;
        above[j] = d;
        let cover = clamp(0.5 - d / width, 0, 1) * layer.opacity;
        if (cover === 0) continue;
        let glow = 1;
        if (layer.round > 0) {
          let edge = clamp(d / layer.round + 1, 0, 1);
          edge *= edge;
          const line = clamp(d / layer.ink + 1.4, 0, 1);
          glow = 1.04 - 0.08 * edge - 0.26 * slope * edge - 0.42 * line;
          glow *= 1 + layer.grain * fine[at];
        }
        if (layer.clip) {
          cover *= coverBelow[at];
          glow = glowBelow[at];
        } else [coverBelow[at], glowBelow[at]] = [cover, glow];
        let mark = 0;
        if (layer.dye === "pattern") {
          const w = piece.waves;
          for (let k = 0; k < 3; k++) mark += w[6 + k] * wave(px * w[2 * k] + py * w[2 * k + 1] + piece.phase[k]);
          mark = clamp((mark - w[9]) * 4, 0, 1);
        }
        for (let c = 0; c < 3; c++) {
          const paint = (color[c] + (piece.second[c] - color[c]) * mark) * glow;
          light[c * area + at] += (clamp(paint, 0, 1) - light[c * area + at]) * cover;
        }
        if (layer.part >= 0 && !layer.clip) {
          for (let c = 0; c < 3; c++) shares[c * area + at] *= 1 - cover;
          shares[layer.part * area + at] += cover;
        }
      }
  });
}

export const PARTS = ["head", "body", "limbs"];
const PLAIN = { facing: 1, head: false, look: 0, shade: 1, stride: 0, angle: 0, missing: [], coat: [0, 0, 0], second: [0, 0, 0] };

const thing = (world, t) => ({
  ...PLAIN, layers: world.things[t.kind], x: t.x, y: t.y, unit: t.scale / 2, shade: t.shade,
  shadow: [t.x, t.y + 0.7 * (t.scale / 2), 1.05 * (t.scale / 2)],
});

/** Body and head of an animal, ready to be painted. */
function animal(world, c) {
  const [unit, angle, { neck, layers }] = [c.scale / 2, radians(c.angle), world.bodies[c.body.plan]];
  const [dx, dy] = [unit * c.facing * neck[0], unit * neck[1]];
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const [coat, second] = c.body.coat.map((code) => rgb(code).map((value) => c.body.shade * value));
  const both = { ...PLAIN, facing: c.facing, missing: PARTS.map((part) => c.missing.includes(part)) };
  return [
    { ...both, layers, x: c.x, y: c.y, unit, angle, coat, second, waves: world.patterns[c.body.pattern],
      phase: c.body.phase, stride: c.body.stride, shadow: c.ground },
    { ...both, layers: world.species[c.species].head, x: c.x + cos * dx - sin * dy, y: c.y + sin * dx + cos * dy,
      unit: world.headRadius * c.swell * unit, angle: angle + c.facing * radians(c.tilt), head: true, look: c.look },
  ];
}

const landscapes = new Map(); // the last few, for an animal moves more often than the hills behind it

/** Draw a scene: light as three planes, the animal in front of each pixel (-1: none), and its parts as bits. */
export function draw(world, scene, size) {
  const { background, horizon, tint, noise: key } = scene;
  const name = JSON.stringify([background, horizon, tint, key, size]);
  if (!landscapes.has(name)) {
    if (landscapes.size > 5) landscapes.clear();
    landscapes.set(name, landscape(world, scene, size));
  }
  const { light: empty, fine } = landscapes.get(name);
  const [light, area, darkness] = [empty.slice(), size * size, world.backgrounds[background].shadow];
  const [owners, parts, shares] = [new Int8Array(area).fill(-1), new Uint8Array(area), new Float64Array(3 * area)];
  const things = scene.things.map((t) => thing(world, t));
  things.forEach((t) => shadow(light, size, t.shadow, darkness));
  things.forEach((t) => figure(t, size, fine, light, shares));
  scene.critters.forEach((c) => shadow(light, size, c.ground, darkness));
  scene.critters.forEach((c, owner) => {
    for (const piece of animal(world, c)) figure(piece, size, fine, light, shares);
    for (let at = 0; at < area; at++) {
      const [head, body, limbs] = [shares[at], shares[area + at], shares[2 * area + at]];
      if (head + body + limbs < 0.5) continue;
      owners[at] = owner;
      parts[at] = head >= body && head >= limbs ? 0 : body > head && body >= limbs ? 1 : 2;
    }
    shares.fill(0);
  });
  return { light, owners, parts };
}
