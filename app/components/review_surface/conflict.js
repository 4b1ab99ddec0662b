// Side by side: the images or answers that contradict the one in front, above its panel.

function buildBeside(base) {
  const strip = el("div", { class: "beside-strip" });
  const node = el("section", { class: "beside", hidden: true, "aria-label": "Side by side", testid: "review-beside" },
    el("h3", { class: "context-title" }, "Side by side"), strip);
  let shown = null;

  function paint({ card }) {
    const item = card?.item || null;
    if (item === shown) return;
    shown = item;
    const others = item?.beside || [];
    show(node, others.length > 0);
    strip.replaceChildren(...others.map((other) => besideCard(other, item, base)));
  }
  return { node, paint };
}

function besideCard({ image_id, label, who }, item, base) {
  const words = label ?? "no label";
  const itself = image_id === item.image_id;
  return el("figure", { class: "beside-card", "data-itself": itself ? "yes" : "no", testid: "review-beside-image" },
    el("img", {
      src: `${base}/thumb/${image_id}`, alt: itself ? "this image" : "the other image", draggable: "false",
      class: isPixelArt(item) ? "pixels" : null,
    }),
    el("figcaption", {}, el("strong", {}, words), who ? el("span", { class: "faint" }, who) : null));
}
