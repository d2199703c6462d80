/* A mask painted over a picture. `mask` holds it at the picture's own size, white where painted; the canvas shows it tinted. */

const TINT = "#D55E00";
const MOST_UNDO = 40;

function render({ model, el }) {
  const [width, height] = model.get("size");
  const root = document.createElement("div");
  root.className = "img2img-paint";
  root.style.width = `${model.get("width")}px`;
  const stage = document.createElement("div");
  stage.className = "img2img-stage";
  const image = document.createElement("img");
  image.src = model.get("image");
  image.alt = "the picture to paint a mask on";
  image.draggable = false;
  const shown = document.createElement("canvas");
  shown.setAttribute("role", "img");
  const mask = document.createElement("canvas");
  for (const canvas of [shown, mask]) Object.assign(canvas, { width, height });
  const pen = mask.getContext("2d", { willReadFrequently: true });
  const screen = shown.getContext("2d");
  const status = document.createElement("div");
  status.className = "img2img-status";
  status.setAttribute("role", "status");

  let erasing = false;
  let last = null; // where the pen is while it paints
  let finger;
  let sent = model.get("data");
  const undo = [];

  const share = () => {
    const pixels = pen.getImageData(0, 0, width, height).data;
    let count = 0;
    for (let i = 3; i < pixels.length; i += 4) count += pixels[i] >= 128;
    return (100 * count) / (width * height);
  };
  const draw = () => {
    screen.clearRect(0, 0, width, height);
    screen.globalCompositeOperation = "source-over";
    screen.drawImage(mask, 0, 0);
    screen.globalCompositeOperation = "source-in";
    screen.fillStyle = TINT;
    screen.fillRect(0, 0, width, height);
  };
  const tell = () => {
    const painted = share().toFixed(1);
    status.textContent = `${painted} % is painted`;
    shown.setAttribute("aria-label", `the mask: ${painted} % of the picture is painted`);
  };
  const commit = () => {
    draw();
    tell();
    sent = mask.toDataURL("image/png");
    model.set("data", sent);
    model.save_changes();
  };
  const remember = () => {
    undo.push(pen.getImageData(0, 0, width, height));
    if (undo.length > MOST_UNDO) undo.shift();
    undoButton.disabled = false;
  };
  const load = (source) => {
    if (!source) {
      pen.clearRect(0, 0, width, height);
      draw();
      tell();
      return;
    }
    const start = new Image();
    start.onload = () => {
      pen.globalCompositeOperation = "source-over";
      pen.clearRect(0, 0, width, height);
      pen.drawImage(start, 0, 0, width, height);
      draw();
      tell();
    };
    start.src = source;
  };

  const place = (event) => {
    const box = shown.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * width, ((event.clientY - box.top) / box.height) * height];
  };
  const stroke = (from, to) => {
    pen.globalCompositeOperation = erasing ? "destination-out" : "source-over";
    pen.strokeStyle = "white";
    pen.lineWidth = Number(brush.value);
    pen.lineCap = "round";
    pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(to[0] + 0.01, to[1]); // a dot, where the pen has not moved
    pen.stroke();
    draw();
  };
  shown.addEventListener("pointerdown", (event) => {
    if (event.button > 0 || last) return; // other fingers that come down while one paints do not
    shown.setPointerCapture((finger = event.pointerId));
    remember();
    last = place(event);
    stroke(last, last);
    event.preventDefault();
  });
  shown.addEventListener("pointermove", (event) => {
    if (!last || event.pointerId !== finger) return;
    // a quick hand gives several places at once
    const several = event.getCoalescedEvents?.() ?? [];
    for (const one of several.length ? several : [event]) {
      const here = place(one);
      stroke(last, here);
      last = here;
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    shown.addEventListener(name, (event) => {
      if (event.pointerId !== finger) return;
      if (last) commit();
      last = null;
    });
  }

  const tools = document.createElement("div");
  tools.className = "img2img-tools";
  const button = (text, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", act);
    tools.append(made);
    return made;
  };
  const slider = (text, options) => {
    const label = document.createElement("label");
    const range = document.createElement("input");
    Object.assign(range, { type: "range", ...options });
    range.dataset.lmSuppressShortcuts = "true"; // JupyterLab would take the arrow keys of what has the focus
    label.append(text, range);
    tools.append(label);
    return range;
  };
  const choose = (erase) => {
    erasing = erase;
    drawButton.setAttribute("aria-pressed", String(!erase));
    eraseButton.setAttribute("aria-pressed", String(erase));
  };
  const drawButton = button("Draw", () => choose(false));
  const eraseButton = button("Erase", () => choose(true));
  const undoButton = button("Undo", () => {
    const before = undo.pop();
    if (before) pen.putImageData(before, 0, 0);
    undoButton.disabled = undo.length === 0;
    commit();
  });
  undoButton.disabled = true;
  button("Clear", () => {
    remember();
    pen.clearRect(0, 0, width, height);
    commit();
  });
  button("Invert", () => {
    remember();
    const pixels = pen.getImageData(0, 0, width, height);
    for (let i = 0; i < pixels.data.length; i += 4) {
      const alpha = 255 - pixels.data[i + 3];
      pixels.data.set([255, 255, 255, alpha], i);
    }
    pen.putImageData(pixels, 0, 0);
    commit();
  });
  const longer = Math.max(width, height);
  const brush = slider("Brush", { min: Math.max(1, Math.round(longer / 100)), max: Math.round(longer / 3), value: model.get("brush") });
  const blur = slider("Blur preview", { min: 0, max: Math.round(longer / 10), value: 0 });
  blur.addEventListener("input", () => {
    // blurred on the screen only, in the picture's pixels
    shown.style.filter = `blur(${(Number(blur.value) * shown.clientWidth) / width}px)`;
  });

  const follow = () => {
    if (model.get("data") === sent) return;
    sent = model.get("data");
    load(sent);
  };
  model.on("change:data", follow);
  choose(false);
  stage.append(image, shown);
  root.append(stage, tools, status);
  el.append(root);
  load(sent);
  return () => model.off("change:data", follow);
}

export default { render };
