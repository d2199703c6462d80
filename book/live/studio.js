// The studio: draw, type, move strength, and the classroom model answers in the page. Nothing leaves it.
//
// Every element with the attribute data-live becomes one; data-picture, data-prompt, data-strength and data-steps ("few" or
// "all") say what it starts with. The model is fetched on a click, once for all of them.

const FILES = {}; // name → {parts, bytes}: build.py fills it in
const HOME = document.currentScript.src.replace(/[^/]*$/, "");
const PROMPTS = [
  "a photo at night",
  "dramatic sunset lighting",
  "oil painting in the style of Van Gogh",
  "watercolor painting with soft edges",
  "pencil sketch with cross-hatching",
  "digital art in cyberpunk style",
];
const COLORS = {
  sky: "#8fc1e8", night: "#1d2a52", sunset: "#f2a65a", snow: "#f7f7f5", meadow: "#6ea84f", forest: "#2f5d3a", water: "#3f7fb5",
  rock: "#8b8178", red: "#c8322b", gold: "#e0b23c", skin: "#e3b18f", ink: "#222222",
}; // prettier-ignore
const MODES = {
  few: { steps: 4, guidance: 1, unet: "unet_few", told: "4, with the LCM-LoRA" },
  all: { steps: 30, guidance: 7.5, unet: "unet", told: "30" },
};
const MOST_UNDO = 30;
const MOST_SEED = Number.MAX_SAFE_INTEGER;
const OWN = "your own picture";
const ALL = 0.999; // of the bytes: their shares are rounded
const STARTING = "Starting the model …";

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
        const missed = () => reject(new Error("A part of the model could not be fetched; check the connection and try again."));
        script.onerror = missed;
        // a Wi-Fi's login page comes as a script that holds nothing
        script.onload = () => (this.parts.get(name)[number] === undefined ? missed() : resolve());
        document.head.append(script);
        script.remove();
      });
      onBytes(bytes / parts);
    }
    const whole = this.parts.get(name);
    this.parts.delete(name);
    return whole;
  },

  waiting: [], // who hears what share of the first files has come

  /** Start the worker, once; `onShare` hears what share of the first files has come. */
  start(names, onShare) {
    this.waiting.push(onShare);
    this.started ??= this.load(names).catch((error) => {
      this.started = undefined; // the next click tries again
      this.waiting = [];
      throw error;
    });
    return this.started;
  },

  async load(names) {
    const total = names.reduce((sum, name) => sum + FILES[name].bytes, 0);
    let come = 0;
    const count = (bytes) => {
      come += bytes;
      for (const onShare of this.waiting) onShare(come / total);
    };
    const files = new Map();
    for (const name of names) files.set(name, await this.fetch(name, count));
    const source = files.get("worker").map((part) => atob(part)).join("");
    const bytes = Uint8Array.from(source, (letter) => letter.charCodeAt(0));
    const address = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
    const worker = (this.worker = new Worker(address));
    const ready = new Promise((resolve, reject) => {
      worker.onerror = (event) => reject(new Error(event.message || "The model could not be started here."));
      worker.onmessage = async ({ data }) => {
        if (data.told === "wants") {
          const { name } = data;
          try {
            const parts = files.get(name) ?? (await this.fetchLater(name));
            files.delete(name);
            worker.postMessage({ do: "file", name, parts });
          } catch (error) {
            worker.postMessage({ do: "file", name, why: error.message });
          }
        } else if (data.told === "ready") {
          const stopped = "The model has stopped, perhaps for want of memory; reload the page to start it again.";
          worker.onerror = () => this.hear({ told: "failed", id: this.last, why: stopped });
          resolve(data);
        } else if (data.told === "failed" && data.id === undefined) reject(new Error(data.why));
        else this.hear(data);
      };
      worker.postMessage({ do: "start" });
    });
    try {
      return await ready;
    } catch (error) {
      worker.terminate();
      throw error;
    } finally {
      URL.revokeObjectURL(address);
    }
  },

  /** Fetch what only some edits need; the last one, if it waits for it, is told how far that is. */
  async fetchLater(name) {
    this.coming = { told: "fetching", name, share: 0 };
    const tell = () => this.hear({ ...this.coming, id: this.last });
    tell();
    try {
      return await this.fetch(name, (bytes) => {
        this.coming.share += bytes / FILES[name].bytes;
        tell();
      });
    } finally {
      this.coming = undefined;
    }
  },

  last: 0,
  askers: new Map(), // the studio that wants an edit, by its number
  ask(studio, rgba, call) {
    this.askers.set(++this.last, studio);
    this.worker.postMessage({ do: "edit", id: this.last, who: studio.number, rgba, call });
    if (this.coming) this.hear({ ...this.coming, id: this.last });
    return this.last;
  },
  hear(data) {
    this.askers.get(data.id)?.hear(data);
    if (!["fetching", "step", "look"].includes(data.told)) this.askers.delete(data.id);
  },
  cancel(studio) {
    this.worker.postMessage({ do: "cancel", who: studio.number });
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

const megabytes = (...names) => (names.reduce((sum, name) => sum + FILES[name].bytes, 0) / 1e6).toFixed(0);

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
  static count = 0;

  constructor(root) {
    this.root = root;
    this.number = Studio.count++;
    root.classList.add("live");
    this.few = "unet_few" in FILES && root.dataset.steps !== "all";
    this.first = ["worker", "runtime", "model", "noise", "text_encoder", "encoder", this.mode.unet];
    this.looks = "decoder_tiny" in FILES;
    this.first.push("decoder", ...(this.looks ? ["decoder_tiny"] : []));
    const tells = canRun()
      ? `It fetches up to ${megabytes(...this.first)} MB, once. Then it runs in this page, without a server: what you draw is never sent anywhere.`
      : "This browser cannot run the model: it needs WebAssembly with SIMD, which all browsers have had since 2023.";
    this.bar = make("progress", { max: 1, value: 0, hidden: true, "aria-label": "fetched" });
    this.told = make("p", { className: "live-told", role: "status" }, tells);
    this.go = make("button", { className: "live-go", type: "button", disabled: !canRun(), onclick: () => this.open() }, "Paint with the model");
    root.replaceChildren(make("div", { className: "live-door" }, this.go, this.bar, this.told));
  }

  get mode() {
    return MODES[this.few ? "few" : "all"];
  }

  async open() {
    this.go.disabled = true;
    this.bar.hidden = false;
    this.told.textContent = "Fetching the model …";
    try {
      const ready = await live.start(this.first, (share) => {
        this.bar.value = share;
        if (share > ALL) this.told.textContent = STARTING;
      });
      this.build(ready);
    } catch (error) {
      this.told.textContent = error.message;
      this.go.disabled = false;
      this.bar.hidden = true;
    }
  }

  build({ words, size, pictures }) {
    Object.assign(this, { words: new Set(words), size, undo: [], brush: { color: COLORS.red, width: size / 16, erase: false } });
    const { picture = "cottage", prompt = PROMPTS[0], strength = "0.75" } = this.root.dataset;
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
    this.seed = make("input", { type: "number", min: 0, max: MOST_SEED, value: 0, onchange: () => ((this.seed.value = this.wholeSeed()), asks()) });
    const modes = make("select", { onchange: () => (this.useSteps(modes.value === "few"), asks()) });
    for (const [value, { unet, told }] of Object.entries(MODES).filter(([, { unet }]) => unet in FILES)) {
      const more = this.first.includes(unet) ? "" : ` (fetches up to ${megabytes(unet)} MB, once)`;
      modes.append(make("option", { value }, told + more));
    }
    modes.value = this.few ? "few" : "all";
    this.useSteps(this.few);
    this.cancel = make("button", { type: "button", disabled: true, onclick: () => live.cancel(this) }, "Cancel");
    const upload = make("input", { type: "file", accept: "image/*", hidden: true, onchange: () => this.upload(upload) });
    const tools = make(
      "div",
      { className: "live-tools", role: "toolbar", "aria-label": "drawing" },
      ...Object.entries(COLORS).map(([name, color]) =>
        make("button", { type: "button", className: "live-color", title: name, "aria-label": name, style: `background:${color}`, onclick: () => this.take({ color, erase: false }) }),
      ),
      make("button", { type: "button", className: "live-erase", title: "bring back what was there", onclick: () => this.take({ erase: true }) }, "Eraser"),
      make("input", { type: "range", min: 2, max: size / 5, value: size / 16, "aria-label": "width of the brush", oninput: (event) => this.take({ width: Number(event.target.value) }) }),
      make("button", { type: "button", onclick: () => this.back() }, "Undo"),
      make("button", { type: "button", onclick: () => this.load(this.chosen) }, "Start over"),
    );
    const keys = "By keyboard: arrow keys move the brush, the space bar paints, Shift and an arrow draw, Ctrl+Z undoes.";
    const known = make("details", {}, make("summary", {}, `The ${words.length} words that the model knows`), words.join(" "));
    this.pictures = { "": "", ...pictures };
    const choose = (this.choose = make("select", { "aria-label": "start from", onchange: () => this.load(choose.value) }));
    choose.append(make("option", { value: "" }, "an empty page"), ...Object.keys(pictures).map((name) => make("option", { value: name }, name)));
    const chips = PROMPTS.map((text) =>
      make("button", { type: "button", className: "live-chip", onclick: () => ((this.prompt.value = text), asks()) }, text),
    );
    this.told = make("p", { className: "live-told", role: "status" }, STARTING);
    const keep = make("button", { type: "button", onclick: () => this.keep() }, "Save picture");
    this.root.replaceChildren(
      make(
        "div",
        { className: "live-pictures" },
        make("div", { className: "live-side" }, make("div", { className: "live-paper" }, this.paper, this.ring), tools,
          make("div", { className: "live-start" }, field("start from", choose), make("button", { type: "button", onclick: () => upload.click() }, "Your own picture"), upload),
          make("p", { className: "live-keys" }, keys)),
        make("div", { className: "live-side" }, this.answer, make("div", { className: "live-run" }, this.bar, this.cancel, keep),
          field("strength", make("span", { className: "live-strength" }, this.strength, this.shownStrength)), this.told),
      ),
      make("div", { className: "live-settings" },
        field("prompt", this.prompt),
        make("div", { className: "live-chips" }, ...chips),
        make("div", { className: "live-row" }, field("seed", this.seed), field("steps", modes)),
        known),
    );
    this.bar.setAttribute("aria-label", "steps done");
    this.bar.value = 0;
    if (document.activeElement === document.body) this.paper.focus(); // the button that was clicked is gone
    this.listen();
    this.take({});
    this.load(picture in pictures ? picture : "").then(() => (this.undo = [])); // there is nothing before it
  }

  listen() {
    const place = (event) => {
      const box = this.paper.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * this.size, ((event.clientY - box.top) / box.height) * this.size];
    };
    let finger; // the one that draws; others that come down meanwhile do not
    this.paper.addEventListener("pointerdown", (event) => {
      if (event.button > 0 || finger !== undefined) return;
      this.paper.setPointerCapture((finger = event.pointerId));
      this.remember();
      this.line((this.at = place(event)));
    });
    this.paper.addEventListener("pointermove", (event) => event.pointerId === finger && this.line(place(event)));
    for (const end of ["pointerup", "pointercancel"]) {
      this.paper.addEventListener(end, (event) => {
        if (event.pointerId === finger) finger = undefined;
      });
    }
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    this.paper.addEventListener("keydown", (event) => {
      if (event.key === " ") {
        event.preventDefault();
        if (!event.repeat) this.remember();
        this.line(this.at);
      } else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        this.back();
      } else if (event.key in ways) {
        event.preventDefault();
        const [x, y] = ways[event.key].map((way, k) => Math.min(Math.max(this.at[k] + (way * this.size) / 48, 0), this.size));
        if (event.shiftKey && !event.repeat) this.remember();
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
    this.undo.push({ drawn: this.pen.getImageData(0, 0, this.size, this.size), base: this.base, chosen: this.chosen });
    if (this.undo.length > MOST_UNDO) this.undo.shift();
  }

  back() {
    const before = this.undo.pop();
    if (before) {
      this.pen.putImageData(before.drawn, 0, 0);
      this.base = before.base;
      this.choose.value = this.chosen = before.chosen;
    }
    this.ask();
  }

  /** Start from one of `pictures`, or from a new one; true if it was one. What holds none leaves what is there. */
  async load(name, address = this.pictures[name]) {
    const mine = (this.loads = (this.loads ?? 0) + 1);
    const canvas = make("canvas", { width: this.size, height: this.size }); // the last one's may still be undone
    const base = canvas.getContext("2d");
    if (address) {
      const image = new Image();
      image.src = address;
      try {
        await image.decode();
      } catch {
        if (mine !== this.loads) return false;
        this.told.textContent = "This file could not be read as a picture; use a PNG, JPEG or WebP file.";
        this.choose.value = this.chosen;
        return false;
      }
      if (mine !== this.loads) return false; // another was chosen while this one was read
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
    this.base = canvas;
    if (!(name in this.pictures)) this.choose.append(make("option", { value: name }, name));
    this.pictures[name] = address;
    this.choose.value = this.chosen = name;
    this.pen.drawImage(canvas, 0, 0);
    this.ask();
    return true;
  }

  async upload(input) {
    const [file] = input.files;
    input.value = ""; // the same file may be taken again
    if (!file) return;
    const [before, address] = [this.pictures[OWN], URL.createObjectURL(file)];
    const taken = await this.load(OWN, address);
    URL.revokeObjectURL(taken ? before : address);
  }

  /** Few steps know few strengths: the slider stops only where another number of them runs. */
  useSteps(few) {
    this.few = few;
    this.strength.step = few ? 1 / this.mode.steps : 0.05;
    this.tellStrength();
  }

  tellStrength() {
    this.shownStrength.textContent = String(Number(this.strength.value));
  }

  /** Save the answer as a file. */
  keep() {
    make("a", { href: this.answer.toDataURL("image/png"), download: "img2img-studio.png" }).click();
  }

  wholeSeed() {
    return Math.min(Math.max(Math.floor(Number(this.seed.value)) || 0, 0), MOST_SEED);
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), 500);
  }

  ask() {
    clearTimeout(this.timer);
    const { data } = this.pen.getImageData(0, 0, this.size, this.size);
    const { steps, guidance } = this.mode;
    const seed = this.wholeSeed();
    const call = { prompt: this.prompt.value, strength: Number(this.strength.value), steps, guidance, seed, few: this.few };
    this.cancel.disabled = false;
    this.asked = live.ask(this, data, { ...call, looks: this.looks });
  }

  hear(data) {
    if (data.told === "fetching") {
      if (data.name !== this.mode.unet) return; // not what is waited for any more
      this.told.textContent = data.share < ALL ? `Fetching up to ${megabytes(data.name)} MB more, once …` : STARTING;
      this.bar.value = data.share;
      return;
    }
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
      const { steps, of, timestep, signal, guidance, seed, unread } = data.run;
      const left = (100 * signal).toFixed(signal < 0.095 ? 1 : 0);
      this.say(
        `${steps} of ${of} steps, from timestep ${timestep}, where ${left} % of the signal is left; guidance ${guidance}, ` +
          `seed ${seed}. ${(data.ms / 1000).toFixed(2)} s on this device.` +
          (unread ? ` The prompt is too long: its last ${unread} tokens are not read.` : ""),
      );
    } else if (this.last && data.id === this.looked) this.show(this.last); // in place of a look at what was given up
    if (data.told === "failed") this.say(data.why);
    if (data.told === "cancelled" && data.id === this.asked) this.say("Cancelled. Draw or move a slider to go on.");
    if (data.id === this.asked) {
      if (document.activeElement === this.cancel) this.strength.focus(); // what is disabled loses the focus
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
