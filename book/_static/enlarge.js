// On a phone a figure of several panels is small. A tap on it, or its button, opens it as large as it was drawn,
// to be moved by a finger or the arrow keys; Escape, the button or a tap beside it closes it again.
(() => {
  const WIDE = 500; // pixels; narrower ones gain nothing
  const make = (name, properties, ...inside) => {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...inside);
    return made;
  };
  const close = make("button", { type: "button", className: "wb-button" }, "Close");
  const room = make("div", { className: "wb-room", tabIndex: 0, autofocus: true });
  const large = make("dialog", { className: "wb-large" }, room, close);
  room.setAttribute("role", "group");
  close.onclick = () => large.close();
  room.onclick = ({ target }) => target === room && large.close();

  const offer = (image) => {
    const caption = image.closest("figure")?.querySelector(".caption-number")?.textContent.trim();
    const name = `Enlarge ${caption ?? "the picture"}`;
    const button = make("button", { type: "button", className: "wb-button wb-enlarge", ariaLabel: name }, "⤢ Enlarge");
    button.onclick = () => {
      room.replaceChildren(make("img", { src: image.src, alt: image.alt }));
      large.ariaLabel = room.ariaLabel = caption ?? "The picture";
      large.onclose = () => button.focus();
      large.showModal();
      room.scrollTo(0, 0);
    };
    image.addEventListener("click", () => button.checkVisibility() && button.click());
    image.after(button);
  };
  addEventListener("load", () => {
    document.body.append(large);
    for (const image of document.querySelectorAll(".bd-article :is(figure > img, .hero img)"))
      if (image.naturalWidth > WIDE) offer(image);
  });
})();
