/* Two pictures on top of each other, and a divider to drag. The divider is a range input: mouse, touch and keys work. */

function picture(source, alt) {
  const image = document.createElement("img");
  image.src = source;
  image.alt = alt;
  image.draggable = false;
  return image;
}

function render({ model, el }) {
  const [left, right] = model.get("labels");
  const root = document.createElement("div");
  root.className = "img2img-compare";
  root.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys
  root.style.width = `${model.get("width")}px`;
  root.setAttribute("role", "group");
  root.setAttribute("aria-label", model.get("alt"));

  const before = picture(model.get("before"), left);
  before.className = "img2img-before";
  const divider = document.createElement("span");
  divider.className = "img2img-divider";
  const labels = [left, right].map((text) => {
    const label = document.createElement("span");
    label.textContent = text;
    label.setAttribute("aria-hidden", "true"); // the pictures' alternatives say the same
    return label;
  });
  const range = document.createElement("input");
  Object.assign(range, { type: "range", min: 0, max: 100, step: 1, value: model.get("position") });
  range.setAttribute("aria-label", `how much of “${left}” is shown`);

  const show = () => {
    const percent = Number(range.value);
    before.style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
    divider.style.left = `${percent}%`;
    range.setAttribute("aria-valuetext", `${percent} % ${left}, ${100 - percent} % ${right}`);
  };
  range.addEventListener("input", () => {
    show();
    model.set("position", Number(range.value));
    model.save_changes();
  });
  const follow = () => {
    range.value = model.get("position");
    show();
  };
  model.on("change:position", follow);

  root.append(picture(model.get("after"), right), before, divider, ...labels, range);
  el.append(root);
  show();
  return () => model.off("change:position", follow);
}

export default { render };
