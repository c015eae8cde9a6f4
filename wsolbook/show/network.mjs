// The book's small networks in the page: convolutions and pools over plain typed arrays.

const TYPES = { I8: Int8Array, I16: Int16Array, F32: Float32Array };

/** Read a network that wsolbook.show.portable wrote: a safetensors file, kernels as integers with a scale a channel. */
export function open(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const size = Number(view.getBigUint64(0, true));
  const { __metadata__: about, ...tensors } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size)));
  const read = (name) => {
    const { dtype, data_offsets: [start, end] } = tensors[name];
    return new TYPES[dtype](bytes.slice(8 + size + start, 8 + size + end).buffer); // a copy, for alignment
  };
  const convolution = (layer) => {
    if (layer.kind === "pool") return layer;
    const [kernel, scale] = [read(`${layer.name}.kernel`), read(`${layer.name}.scale`)];
    const each = kernel.length / scale.length;
    return { ...layer, kernel: Float64Array.from(kernel, (k, i) => k * scale[Math.floor(i / each)]), bias: read(`${layer.name}.bias`) };
  };
  const branches = JSON.parse(about.branches).map(({ name, layers }) => ({
    layers: layers.map(convolution), weight: read(`${name}.weight`), bias: read(`${name}.bias`),
  }));
  return { ...JSON.parse(about.network), layers: JSON.parse(about.layers).map(convolution), branches };
}

/** Copy planes into planes with a border of zeros. */
function padded(planes, channels, side, border) {
  const wide = side + 2 * border;
  const out = new Float64Array(channels * wide * wide);
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < side; y++) {
      const from = (c * side + y) * side;
      out.set(planes.subarray(from, from + side), (c * wide + y + border) * wide + border);
    }
  return out;
}

/** 3x3 convolution and rectifier. */
function convolve({ kernel, bias, inputs, outputs, spread }, planes, side) {
  const [wide, area] = [side + 2 * spread, side * side];
  const from = padded(planes, inputs, side, spread);
  const out = new Float64Array(outputs * area);
  for (let o = 0; o < outputs; o += 2)
    for (let y = 0; y < side; y++) {
      const [to, also] = [o * area + y * side, (o + 1) * area + y * side];
      out.fill(bias[o], to, to + side).fill(bias[o + 1], also, also + side);
      for (let i = 0; i < inputs; i++)
        addRow(kernel, 9 * (o * inputs + i), 9 * ((o + 1) * inputs + i), from, (i * wide + y) * wide, wide, spread, out, to, also, side);
    }
  for (let k = 0; k < out.length; k++) if (out[k] < 0) out[k] = 0;
  return out;
}

/** Add what one input gives to a row of two outputs; plain numbers, each used twice, for speed. */
function addRow(kernel, k, l, from, a, wide, spread, out, to, also, side) {
  const k0 = kernel[k], k1 = kernel[k + 1], k2 = kernel[k + 2], k3 = kernel[k + 3], k4 = kernel[k + 4];
  const k5 = kernel[k + 5], k6 = kernel[k + 6], k7 = kernel[k + 7], k8 = kernel[k + 8];
  const l0 = kernel[l], l1 = kernel[l + 1], l2 = kernel[l + 2], l3 = kernel[l + 3], l4 = kernel[l + 4];
  const l5 = kernel[l + 5], l6 = kernel[l + 6], l7 = kernel[l + 7], l8 = kernel[l + 8];
  for (let x = 0; x < side; x++, a++) {
    const b = a + spread * wide, c = b + spread * wide;
    const a0 = from[a], a1 = from[a + spread], a2 = from[a + 2 * spread];
    const b0 = from[b], b1 = from[b + spread], b2 = from[b + 2 * spread];
    const c0 = from[c], c1 = from[c + spread], c2 = from[c + 2 * spread];
    out[to + x] += k0 * a0 + k1 * a1 + k2 * a2 + k3 * b0 + k4 * b1 + k5 * b2 + k6 * c0 + k7 * c1 + k8 * c2;
    out[also + x] += l0 * a0 + l1 * a1 + l2 * a2 + l3 * b0 + l4 * b1 + l5 * b2 + l6 * c0 + l7 * c1 + l8 * c2;
  }
}

/** Maximum over 2x2 pixels. */
function halve(planes, side) {
  const half = side / 2;
  const out = new Float64Array(planes.length / 4);
  for (let k = 0; k < out.length; k++) {
    const at = 2 * (Math.floor(k / half) * side + (k % half));
    out[k] = Math.max(planes[at], planes[at + 1], planes[at + side], planes[at + side + 1]);
  }
  return out;
}

/** Mean over 3x3 pixels, with zeros beyond the border. */
function smooth(planes, channels, side) {
  const [from, wide] = [padded(planes, channels, side, 1), side + 2];
  return planes.map((_, k) => {
    const [c, y, x] = [Math.floor(k / (side * side)), Math.floor(k / side) % side, k % side];
    let sum = 0;
    for (let row = 0; row < 3; row++) for (let at = (c * wide + y + row) * wide + x, end = at + 3; at < end; at++) sum += from[at];
    return sum / 9;
  });
}

/** A map less its floor, the minimum or 0, over its largest value then; all zeros without contrast. */
export function stretched(map, floor) {
  const lifted = map.map((v) => Math.max(v - floor, 0));
  const peak = Math.max(...lifted);
  return lifted.map((v) => (peak > 0 ? v / peak : 0));
}

/** What the second branch gets of each cell, from the map of the first: ACoL erases, SeeNet turns the sign of the background, too. */
const MASKS = {
  acol: (map, { threshold }) => stretched(map, Math.min(...map)).map((v) => (v >= threshold ? 0 : 1)),
  seenet: (map, { low, high }) => {
    const positive = map.map((v) => Math.max(v, 0));
    return stretched(positive, Math.min(...positive)).map((v) => (v > high ? 0 : v < low ? -1 : 1));
  },
};

function through(layers, planes, side) {
  for (const layer of layers) {
    planes = layer.kind === "pool" ? halve(planes, side) : convolve(layer, planes, side);
    if (layer.kind === "pool") side /= 2;
  }
  return { planes, side };
}

/** The map of one class in a branch: its linear layer in each cell, without the bias. */
function classMap({ weight }, planes, area, c) {
  const [map, channels] = [new Float64Array(area), planes.length / area];
  for (let k = 0; k < channels; k++)
    for (let at = 0; at < area; at++) map[at] += weight[c * channels + k] * planes[k * area + at];
  return map;
}

/** Scores of all classes, and a function that makes the map of one, from a square picture in [0, 1] as three planes. */
export function run(network, light) {
  const size = Math.sqrt(light.length / 3);
  const input = Float64Array.from(light, (v, k) => {
    const c = Math.floor(k / (size * size));
    return (v - network.mean[c]) / network.std[c];
  });
  const { planes, side } = through(network.layers, input, size);
  const { method, branches: [first, second] } = network;
  const area = side * side;
  const features = method === "acol" ? smooth(planes, planes.length / area, side) : planes;
  const seen = through(first.layers, features, side).planes;
  const bare = Array.from(first.bias, (_, c) => classMap(first, seen, area, c));
  const pool = (plane) => (network.pool === "gmp" ? Math.max(...plane) : plane.reduce((a, b) => a + b, 0) / area);
  const pooled = Float64Array.from({ length: seen.length / area }, (_, k) => pool(seen.subarray(k * area, (k + 1) * area)));
  const scores = Float64Array.from(first.bias, (b, c) => b + classMap(first, pooled, 1, c)[0]);
  if (method === "cam") return { scores, side, map: (c) => bare[c] };
  const maps = bare.map((map, c) => map.map((v) => v + first.bias[c])); // class maps of convolutions hold the bias
  if (!second) return { scores, side, map: (c) => maps[c] };
  const map = (c) => {
    const mask = MASKS[method](maps[c], network);
    const left = through(second.layers, features.map((v, k) => v * mask[k % area]), side).planes;
    const other = classMap(second, left, area, c).map((v) => v + second.bias[c]);
    const [a, b] = [maps[c], other].map((m) => stretched(m, method === "acol" ? Math.min(...m) : 0));
    return a.map((v, at) => Math.max(v, b[at]));
  };
  return { scores, side, map };
}
