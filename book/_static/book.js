// What a page does beside being read: exercises that are answered by a click and remembered by this browser,
// formulas that scroll by keyboard, outputs that fit a phone and a sheet.
(() => {
  const PAGE = location.pathname.split("/").pop().replace(/\.html$/, "");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const words = (node) => node.textContent.replace(/\s+/g, " ").trim();
  const make = (name, properties, ...inside) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...inside);
    return made;
  };

  // --- what this browser remembers: for each page how many exercises it has, and what was answered to which
  const remembered = (page) => {
    try { return JSON.parse(localStorage.getItem(`wsolbook:${page}`)) ?? { done: {} }; }
    catch { return { done: {} }; } // nothing was kept, or nothing may be
  };
  const remember = (page, state) => {
    try { localStorage.setItem(`wsolbook:${page}`, JSON.stringify(state)); } catch { /* nothing may be kept */ }
  };
  const answer = (id, said) => {
    const state = remembered(PAGE);
    if (said) state.done[id] = said; else delete state.done[id];
    remember(PAGE, { ...state, total: all(".exercise").length });
    report();
  };
  const progress = ({ done, total }) => `${Object.keys(done).length} of ${total} exercises done`;

  // --- exercises
  const solutionOf = (exercise) =>
    all(".solution").find((s) => s.querySelector(`:scope > .admonition-title a[href="#${exercise.id}"]`));
  const open = (solution) => {
    if (solution.classList.contains("toggle-hidden")) solution.querySelector(".toggle-button").click();
  };

  // A list of choices becomes buttons; the ticked line of the solution is the right one.
  const ask = (exercise, choices, solution) => {
    const right = words(solution.querySelector(".task-list-item input[checked]").closest("li"));
    const said = make("p", { className: "wb-said" });
    said.setAttribute("role", "status");
    const show = (choice) => {
      for (const button of all("button", choices)) {
        const chosen = words(button) === choice;
        button.setAttribute("aria-pressed", chosen);
        button.dataset.right = chosen ? choice === right : "";
      }
      if (choice) said.textContent = choice === right
        ? "✓ Right. The solution says why." : "✗ No. The solution says what happens, and why.";
    };
    for (const item of all("li", choices)) {
      const button = make("button", { type: "button" }, words(item));
      button.setAttribute("aria-pressed", false);
      button.onclick = () => { show(words(button)); answer(exercise.id, words(button)); open(solution); };
      item.replaceChildren(button);
    }
    choices.className = "wb-choices";
    choices.after(said);
    show(remembered(PAGE).done[exercise.id]);
  };

  // An exercise without choices is done when its reader says so.
  const tick = (exercise) => {
    const box = make("input", { type: "checkbox", checked: exercise.id in remembered(PAGE).done });
    box.onchange = () => answer(exercise.id, box.checked ? "done" : "");
    exercise.append(make("label", { className: "wb-done" }, box, " done"));
  };

  const summary = make("p", { className: "wb-progress" });
  const report = () => {
    const state = remembered(PAGE);
    summary.hidden = !Object.keys(state.done).length;
    if (summary.hidden) return;
    const forget = make("button", { type: "button" }, "forget my answers");
    forget.onclick = () => { localStorage.removeItem(`wsolbook:${PAGE}`); location.reload(); };
    summary.replaceChildren(`${progress(state)}. `, forget);
  };

  const exercises = () => {
    for (const exercise of all(".exercise")) {
      const choices = exercise.querySelector("ul.contains-task-list"), solution = solutionOf(exercise);
      if (choices && solution) ask(exercise, choices, solution); else tick(exercise);
    }
    for (const input of all(".solution .task-list-item input")) input.replaceWith(input.checked ? "✓ " : "○ ");
    // The exercise stands right above; a click on the title shall open the solution, not lead there.
    for (const link of all(".solution > .admonition-title a")) link.replaceWith(...link.childNodes);
    document.querySelector(".exercise")?.before(summary);
    report();
    for (const card of all(".wb-cards a")) {
      const state = remembered(card.getAttribute("href").split("/").pop().replace(/\.html$/, ""));
      if (state.total) card.append(make("small", { className: "wb-progress" }, progress(state)));
    }
  };

  // --- formulas and outputs
  const formulas = () => {
    for (const formula of all('mjx-container[display="true"]')) {
      if (formula.scrollWidth > formula.clientWidth + 1) formula.tabIndex = 0;
      else formula.removeAttribute("tabindex");
    }
  };
  const outputs = () => {
    for (const output of all(".cell_output pre")) {
      const lines = output.textContent.split("\n").filter((line) => line.trim());
      if (lines.every((line) => line.startsWith("✓")))
        output.replaceChildren(...lines.map((line) => make("span", { className: "wb-check" }, `${line}\n`)));
      else output.style.setProperty("--wb-columns", Math.max(...lines.map((line) => line.length), 1));
    }
  };

  exercises();
  outputs();
  addEventListener("load", () => window.MathJax?.startup?.promise?.then(formulas));
  addEventListener("resize", formulas);
})();
