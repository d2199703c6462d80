// The studio: draw, type, move strength, and the classroom model answers in the page. Nothing leaves it.
//
// Every element with the attribute data-live becomes one; data-picture, data-prompt and data-strength say what it starts
// with. The model is fetched on a click, once for all of them.

const FILES = {}; // name → {parts, bytes}: build.py fills it in
const HOME = document.currentScript.src.replace(/[^/]*$/, "");
const PROMPTS = [
  "oil painting in the style of Van Gogh",
  "watercolor painting with soft edges",
  "pencil sketch with cross-hatching",
  "digital art in cyberpunk style",
  "a photo at night",
  "dramatic sunset lighting",
];
const COLORS = {
  sky: "#8fc1e8", night: "#1d2a52", sunset: "#f2a65a", snow: "#f7f7f5", meadow: "#6ea84f", forest: "#2f5d3a", water: "#3f7fb5",
  rock: "#8b8178", red: "#c8322b", gold: "#e0b23c", skin: "#e3b18f", ink: "#222222",
}; // prettier-ignore
const MODES = { few: { steps: 4, guidance: 1 }, all: { steps: 30, guidance: 7.5 } };
const MOST_UNDO = 30;

/** The worker with the model, and who of the studios waits for what. */
const live = {
  parts: new Map(),

  /** Called by the scripts that hold the files. */
  put(name, number, text) {
    this.parts.get(name)[number] = text;
  },

  /** Fetch a file's scripts, telling how many bytes have come. */
  async fetch(name, onBytes = () => {}) {
    const { parts, bytes } = FILES[name];
    this.parts.set(name, []);
    for (let number = 0; number < parts; number++) {
      await new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `${HOME}${name}-${number}.js`;
        script.onload = resolve;
        script.onerror = () => reject(new Error("A part of the model could not be fetched; check the connection and try again."));
        document.head.append(script);
        script.remove();
      });
      onBytes(bytes / parts);
    }
    const whole = this.parts.get(name);
    this.parts.delete(name);
    return whole;
  },

  /** Start the worker, once; `onShare` hears what share of the first files has come. */
  start(names, onShare) {
    this.started ??= this.load(names, onShare).catch((error) => {
      this.started = undefined; // the next click tries again
      throw error;
    });
    return this.started;
  },

  async load(names, onShare) {
    const total = names.reduce((sum, name) => sum + FILES[name].bytes, 0);
    let come = 0;
    const count = (bytes) => onShare((come += bytes) / total);
    const files = new Map();
    for (const name of names) files.set(name, await this.fetch(name, count));
    const source = files.get("worker").map((part) => atob(part)).join("");
    const bytes = Uint8Array.from(source, (letter) => letter.charCodeAt(0));
    this.worker = new Worker(URL.createObjectURL(new Blob([bytes], { type: "text/javascript" })));
    return new Promise((resolve, reject) => {
      this.worker.onerror = (event) => reject(new Error(event.message || "The model could not be started here."));
      this.worker.onmessage = async ({ data }) => {
        if (data.told === "wants") {
          try {
            const parts = files.get(data.name) ?? (await this.fetch(data.name));
            files.delete(data.name);
            this.worker.postMessage({ do: "file", name: data.name, parts });
          } catch (error) {
            this.hear({ told: "failed", id: this.last, why: error.message });
          }
        } else if (data.told === "ready") {
          const stopped = "The model has stopped, perhaps for want of memory; reload the page to start it again.";
          this.worker.onerror = () => this.hear({ told: "failed", id: this.last, why: stopped });
          resolve(data);
        } else if (data.told === "failed" && data.id === undefined) reject(new Error(data.why));
        else this.hear(data);
      };
      this.worker.postMessage({ do: "start" });
    });
  },

  last: 0,
  askers: new Map(), // the studio that wants an edit, by its number
  ask(studio, rgba, call) {
    this.askers.set(++this.last, studio);
    this.worker.postMessage({ do: "edit", id: this.last, rgba, call });
    return this.last;
  },
  hear(data) {
    this.askers.get(data.id)?.hear(data);
    if (data.told !== "step" && data.told !== "look") this.askers.delete(data.id);
  },
  cancel() {
    this.worker.postMessage({ do: "cancel" });
  },
};
window.live = live;

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const canRun = () => {
  try {
    // the smallest module with an instruction of the wasm SIMD proposal
    return WebAssembly.validate(
      Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11),
    );
  } catch {
    return false;
  }
};

class Studio {
  constructor(root) {
    this.root = root;
    root.classList.add("live");
    const quick = "unet_few" in FILES;
    this.few = quick;
    this.first = ["worker", "runtime", "model", "noise", "text_encoder", "encoder", quick ? "unet_few" : "unet"];
    this.looks = "decoder_tiny" in FILES;
    this.first.push("decoder", ...(this.looks ? ["decoder_tiny"] : []));
    const megabytes = this.first.reduce((sum, name) => sum + FILES[name].bytes, 0) / 1e6;
    const tells = canRun()
      ? `It fetches ${megabytes.toFixed(0)} MB, once. Then it runs in this page, without a server: what you draw is never sent anywhere.`
      : "This browser cannot run the model: it needs WebAssembly with SIMD, which all browsers have had since 2023.";
    this.bar = make("progress", { max: 1, value: 0, hidden: true, "aria-label": "fetched" });
    this.told = make("p", { className: "live-told", role: "status" }, tells);
    this.go = make("button", { className: "live-go", type: "button", disabled: !canRun(), onclick: () => this.open() }, "Paint with the model");
    root.replaceChildren(make("div", { className: "live-door" }, this.go, this.bar, this.told));
  }

  async open() {
    this.go.disabled = true;
    this.bar.hidden = false;
    this.told.textContent = "Fetching the model …";
    try {
      const ready = await live.start(this.first, (share) => (this.bar.value = share));
      this.build(ready);
    } catch (error) {
      this.told.textContent = error.message;
      this.go.disabled = false;
      this.bar.hidden = true;
    }
  }

  build({ words, size, pictures }) {
    Object.assign(this, { words: new Set(words), size, undo: [], brush: { color: COLORS.red, width: size / 16, erase: false } });
    const { picture = "landscape", prompt = PROMPTS[0], strength = "0.6" } = this.root.dataset;
    const canvas = (label) => make("canvas", { width: size, height: size, role: "img", "aria-label": label });
    this.paper = canvas("your drawing: arrow keys move the brush, the space bar paints");
    this.paper.tabIndex = 0;
    this.answer = canvas("what the model makes of it");
    this.ring = make("span", { className: "live-ring", hidden: true });
    this.pen = this.paper.getContext("2d", { willReadFrequently: true });
    this.at = [size / 2, size / 2];
    this.base = make("canvas", { width: size, height: size }); // what the eraser brings back

    const field = (label, input) => make("label", { className: "live-field" }, make("span", {}, label), input);
    const asks = () => this.ask();
    this.prompt = make("input", { type: "text", value: prompt, onchange: asks, oninput: () => this.later() });
    this.strength = make("input", { type: "range", min: 0, max: 1, step: 0.05, value: strength, oninput: () => (this.tellStrength(), asks()) });
    this.shownStrength = make("output");
    this.seed = make("input", { type: "number", min: 0, max: 2 ** 32 - 1, value: 0, onchange: asks });
    const modes = make("select", { onchange: () => (this.useSteps(modes.value === "few"), asks()) });
    if (this.few) modes.append(make("option", { value: "few" }, "4, with the LCM-LoRA"));
    modes.append(make("option", { value: "all" }, "30"));
    this.useSteps(this.few);
    this.cancel = make("button", { type: "button", disabled: true, onclick: () => live.cancel() }, "Cancel");
    const upload = make("input", { type: "file", accept: "image/*", hidden: true, onchange: () => this.upload(upload.files[0]) });
    const tools = make(
      "div",
      { className: "live-tools", role: "toolbar", "aria-label": "drawing" },
      ...Object.entries(COLORS).map(([name, color]) =>
        make("button", { type: "button", className: "live-color", title: name, "aria-label": name, style: `background:${color}`, onclick: () => this.take({ color, erase: false }) }),
      ),
      make("button", { type: "button", className: "live-erase", title: "bring back what was there", onclick: () => this.take({ erase: true }) }, "Eraser"),
      make("input", { type: "range", min: 2, max: size / 5, value: size / 16, "aria-label": "width of the brush", oninput: (event) => this.take({ width: Number(event.target.value) }) }),
      make("button", { type: "button", onclick: () => this.back() }, "Undo"),
    );
    const choose = make("select", { "aria-label": "start from", onchange: () => this.load(pictures[choose.value]) });
    choose.append(make("option", { value: "" }, "an empty page"), ...Object.keys(pictures).map((name) => make("option", { value: name }, name)));
    choose.value = picture in pictures ? picture : "";
    const chips = PROMPTS.map((text) =>
      make("button", { type: "button", className: "live-chip", onclick: () => ((this.prompt.value = text), asks()) }, text),
    );
    this.told = make("p", { className: "live-told", role: "status" });
    this.root.replaceChildren(
      make(
        "div",
        { className: "live-pictures" },
        make("div", { className: "live-side" }, make("div", { className: "live-paper" }, this.paper, this.ring), tools,
          make("div", { className: "live-start" }, field("start from", choose), make("button", { type: "button", onclick: () => upload.click() }, "Your own picture"), upload)),
        make("div", { className: "live-side" }, this.answer, make("div", { className: "live-run" }, this.bar, this.cancel),
          field("strength", make("span", { className: "live-strength" }, this.strength, this.shownStrength)), this.told),
      ),
      make("div", { className: "live-settings" },
        field("prompt", this.prompt),
        make("div", { className: "live-chips" }, ...chips),
        make("div", { className: "live-row" }, field("seed", this.seed), field("steps", modes))),
    );
    this.bar.setAttribute("aria-label", "steps done");
    this.bar.value = 0;
    this.listen();
    this.take({});
    this.load(pictures[choose.value]).then(() => (this.undo = [])); // there is nothing before it
  }

  listen() {
    const place = (event) => {
      const box = this.paper.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * this.size, ((event.clientY - box.top) / box.height) * this.size];
    };
    this.paper.addEventListener("pointerdown", (event) => {
      if (event.button > 0) return;
      this.paper.setPointerCapture(event.pointerId);
      this.remember();
      this.drawing = true;
      this.line((this.at = place(event)));
    });
    this.paper.addEventListener("pointermove", (event) => this.drawing && this.line(place(event)));
    for (const end of ["pointerup", "pointercancel"]) this.paper.addEventListener(end, () => (this.drawing = false));
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    this.paper.addEventListener("keydown", (event) => {
      if (event.key === " ") {
        event.preventDefault();
        this.remember();
        this.line(this.at);
      } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.back();
      } else if (event.key in ways) {
        event.preventDefault();
        const [x, y] = ways[event.key].map((way, k) => Math.min(Math.max(this.at[k] + (way * this.size) / 48, 0), this.size));
        if (event.shiftKey) this.line([x, y]);
        this.at = [x, y];
        this.showRing();
      }
    });
    this.paper.addEventListener("focus", () => this.showRing());
    this.paper.addEventListener("blur", () => (this.ring.hidden = true));
  }

  showRing() {
    const share = (number) => `${(100 * number) / this.size}%`;
    const width = share(this.brush.width);
    Object.assign(this.ring.style, { left: share(this.at[0]), top: share(this.at[1]), width, height: width });
    this.ring.hidden = !this.paper.matches(":focus-visible");
  }

  take(change) {
    Object.assign(this.brush, change);
    for (const button of this.root.querySelectorAll(".live-color, .live-erase")) {
      const mine = button.matches(".live-erase") ? this.brush.erase : !this.brush.erase && COLORS[button.title] === this.brush.color;
      button.setAttribute("aria-pressed", mine);
    }
  }

  line(to) {
    const { pen, brush } = this;
    const path = new Path2D();
    path.moveTo(...this.at);
    path.lineTo(to[0] + 0.01, to[1]);
    Object.assign(pen, { lineWidth: brush.width, lineCap: "round", lineJoin: "round" });
    pen.strokeStyle = brush.erase ? pen.createPattern(this.base, "no-repeat") : brush.color;
    pen.stroke(path);
    this.at = to;
    this.ask();
  }

  remember() {
    this.undo.push(this.pen.getImageData(0, 0, this.size, this.size));
    if (this.undo.length > MOST_UNDO) this.undo.shift();
  }

  back() {
    const before = this.undo.pop();
    if (before) this.pen.putImageData(before, 0, 0);
    this.ask();
  }

  /** Start from a picture; an address that holds none leaves what is there. */
  async load(address) {
    const base = this.base.getContext("2d");
    if (address) {
      const image = new Image();
      image.src = address;
      try {
        await image.decode();
      } catch {
        this.told.textContent = "This file could not be read as a picture; use a PNG, JPEG or WebP file.";
        return;
      }
      const scale = Math.max(this.size / image.width, this.size / image.height);
      const [width, height] = [image.width * scale, image.height * scale];
      base.imageSmoothingQuality = "high";
      base.fillStyle = "white"; // below what is transparent
      base.fillRect(0, 0, this.size, this.size);
      base.drawImage(image, (this.size - width) / 2, (this.size - height) / 2, width, height);
    } else {
      base.fillStyle = COLORS.snow;
      base.fillRect(0, 0, this.size, this.size);
    }
    this.remember();
    this.pen.drawImage(this.base, 0, 0);
    this.ask();
  }

  async upload(file) {
    if (!file) return;
    const address = URL.createObjectURL(file);
    await this.load(address);
    URL.revokeObjectURL(address);
  }

  /** Few steps know few strengths: the slider stops only where another number of them runs. */
  useSteps(few) {
    this.few = few;
    this.strength.step = few ? 1 / MODES.few.steps : 0.05;
    this.tellStrength();
  }

  tellStrength() {
    this.shownStrength.textContent = Number(this.strength.value).toFixed(2).replace(/0$/, "");
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), 500);
  }

  ask() {
    clearTimeout(this.timer);
    const { data } = this.pen.getImageData(0, 0, this.size, this.size);
    const { steps, guidance } = MODES[this.few ? "few" : "all"];
    const seed = Math.min(Math.max(Math.floor(Number(this.seed.value)) || 0, 0), 2 ** 32 - 1);
    const call = { prompt: this.prompt.value, strength: Number(this.strength.value), steps, guidance, seed, few: this.few };
    this.cancel.disabled = false;
    this.asked = live.ask(this, data, { ...call, looks: this.looks });
  }

  hear(data) {
    if (data.told === "step") {
      this.bar.value = (data.done + 0.5) / data.of;
      return;
    }
    if (data.told === "look") {
      this.show(data.rgba);
      this.root.dataset.looked = this.looked = data.id;
      return;
    }
    if (data.told === "made") {
      this.show((this.last = data.rgba));
      const { steps, of, timestep, signal } = data.run;
      this.say(
        `${steps} of ${of} steps, from timestep ${timestep}, where ${Math.round(100 * signal)} % of the signal is left. ` +
          `${(data.ms / 1000).toFixed(2)} s on this device.`,
      );
    } else if (this.last && data.id === this.looked) this.show(this.last); // in place of a look at what was given up
    if (data.told === "failed") this.say(data.why);
    if (data.told === "cancelled" && data.id === this.asked) this.say("Cancelled. Draw or move a slider to go on.");
    if (data.id === this.asked) {
      this.cancel.disabled = true;
      this.bar.value = 0;
      this.root.dataset.made = data.id;
    }
  }

  show(rgba) {
    this.answer.getContext("2d").putImageData(new ImageData(rgba, this.size, this.size), 0, 0);
  }

  say(text) {
    const unknown = [...new Set(this.prompt.value.toLowerCase().match(/\p{L}{2,}/gu) ?? [])].filter((word) => !this.words.has(word));
    const never = unknown.length ? ` The model has never seen: ${unknown.join(", ")}.` : "";
    this.told.textContent = text + never;
  }
}

for (const root of document.querySelectorAll("[data-live]")) new Studio(root);
