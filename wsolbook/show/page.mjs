
/** Start the explorer of a static page: `id` names an element that holds the state as JSON. */
export function mount(id) {
  const el = document.querySelector(`#${id}:not([data-live])`);
  el.dataset.live = "";
  const state = JSON.parse(el.querySelector("script").textContent);
  const heard = {};
  const model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; (heard[`change:${name}`] ?? []).forEach((f) => f()); },
    on: (event, f) => (heard[event] ??= []).push(f),
    save_changes: () => {},
  };
  el.querySelector("p").remove();
  render({ model, el });
}

export default { render };
