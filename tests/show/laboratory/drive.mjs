// Uses the laboratory as a reader does, and leaves what it found in the title of the page.
window.requestAnimationFrame = (f) => setTimeout(f, 0); // frames take no part in virtual time
const settled = () => new Promise((done) => setTimeout(done, 400));
const state = JSON.parse(document.querySelector("#state").textContent);
const heard = {};
const model = {
  get: (name) => state[name],
  set: (name, value) => { state[name] = value; (heard[`change:${name}`] ?? []).forEach((f) => f()); },
  on: (event, f) => (heard[event] ??= []).push(f), off: () => {}, save_changes: () => {},
};
const el = document.body.appendChild(document.createElement("div"));
render({ model, el });
const root = el.firstElementChild.shadowRoot;
const stage = root.querySelector(".stage");
const said = () => root.querySelector("figcaption span").textContent;
const key = (key) => stage.dispatchEvent(new KeyboardEvent("keydown", { key }));
const at = (kind, x, y) => {
  const frame = stage.getBoundingClientRect();
  const place = { clientX: frame.left + x * frame.width, clientY: frame.top + y * frame.height };
  stage.dispatchEvent(new PointerEvent(kind, { pointerId: 1, bubbles: true, ...place }));
};
const choose = (name, value) => {
  const one = [...root.querySelectorAll(`[name="${name}"]`)].find((c) => c.type !== "radio" || c.value === value);
  if (one.type === "checkbox" || one.type === "radio") one.click();
  else { one.value = value; one.dispatchEvent(new Event("input", { bubbles: true })); }
};
const found = {};
await settled();
stage.setPointerCapture = () => {};
const first = state.scene.critters[0];
found.said = said();
found.spoken = root.querySelector("[role=status]").textContent;
found.answers = Object.keys(state.answers);
key("ArrowLeft");
found.step = state.scene.critters[0].x - first.x;
at("pointerdown", 0.5, 0.5);
at("pointermove", 0.6, 0.5);
at("pointerup", 0.6, 0.5);
at("pointermove", 0.9, 0.5);
found.dragged = state.scene.critters[0].x - first.x;
choose("has head");
found.missing = state.scene.critters[0].missing;
choose("has head");
choose("body", "frog");
found.plan = state.scene.critters[0].body.plan;
choose("head", "owl");
await settled();
found.owl = said();
choose("background", "snow");
found.background = state.scene.background;
root.querySelector("[name=add]").click();
found.animals = state.scene.critters.length;
root.querySelector("[name=remove]").click();
found.left = state.scene.critters.length;
choose("label", "duck");
found.label = state.label;
choose("tool", "gray brush");
choose("brush", "20");
key("ArrowUp");
key(" ");
found.gray = [...atob(state.gray)].reduce((n, c) => n + c.charCodeAt(0).toString(2).replaceAll("0", "").length, 0);
root.querySelector("[name=wipe]").click();
found.clean = state.gray;
root.querySelector("[name=again]").click();
await settled();
found.again = said();
model.set("scene", { ...state.scene, critters: [] });
await settled();
found.empty = stage.getAttribute("aria-label");
const controls = [...root.querySelectorAll("input, select, button")];
found.nameless = controls.filter((c) => !(c.labels?.[0]?.textContent.trim() || c.ariaLabel || c.textContent.trim())).map((c) => c.name);
document.title = JSON.stringify(found);
