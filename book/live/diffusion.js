// Image-to-image diffusion in a page: the loop of lesson 3 and its two schedulers, in JavaScript.
//
// The networks are ONNX files of the classroom model (export.py), run by onnxruntime-web. Everything else that diffusers does
// in an edit is here: which steps are run, noise, guidance, the scheduler's step. For the seeds 0 to 9 the noise is PyTorch's,
// and the picture is the one that `pipe(…)` makes in Python.

const LOOK_EVERY = 3; // steps: a look takes time of its own

/** The scheduler for many steps: DDIM (Song et al. 2020) with leading spacing, as the lessons' pipeline has it. */
export class DDIM {
  constructor({ alphas, steps_offset }, steps) {
    this.alphas = alphas;
    this.stride = Math.floor(alphas.length / steps);
    this.timesteps = Array.from({ length: steps }, (_, i) => (steps - 1 - i) * this.stride + steps_offset);
  }

  /** The latents one step nearer to a picture. */
  step(i, latents, velocity) {
    const before = this.timesteps[i] - this.stride;
    const { clean, noise } = split(latents, velocity, this.alphas[this.timesteps[i]]);
    return mix(clean, noise, this.alphas[Math.max(before, 0)]);
  }
}

/** The scheduler for few steps: latent consistency models (Luo et al. 2023), as diffusers' LCMScheduler has it. */
export class LCM {
  constructor({ alphas }, steps) {
    const taught = 50; // timesteps that the adapter was taught at: 999, 979, … 19
    this.alphas = alphas;
    this.timesteps = Array.from({ length: steps }, (_, i) => {
      const place = taught - Math.floor((i * taught) / steps);
      return place * Math.floor(alphas.length / taught) - 1;
    });
  }

  /** Where the way ends, as told from here; and, but for the last step, noise again, for the next one. */
  step(i, latents, velocity, draw) {
    const time = 10 * this.timesteps[i];
    const skip = 0.25 / (time ** 2 + 0.25);
    const out = time / Math.sqrt(time ** 2 + 0.25);
    const { clean } = split(latents, velocity, this.alphas[this.timesteps[i]]);
    const end = clean.map((value, k) => out * value + skip * latents[k]);
    return i + 1 < this.timesteps.length ? mix(end, draw(), this.alphas[this.timesteps[i + 1]]) : end;
  }
}

/** Latents and noise in the shares that a timestep's ᾱ says: `scheduler.add_noise`. */
export function mix(clean, noise, alpha) {
  const [signal, sigma] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
  return clean.map((value, k) => signal * value + sigma * noise[k]);
}

/** What a predicted velocity says of noisy latents: the clean ones, and the noise (Salimans and Ho 2022). */
export function split(latents, velocity, alpha) {
  const [signal, sigma] = [Math.sqrt(alpha), Math.sqrt(1 - alpha)];
  return {
    clean: latents.map((value, k) => signal * value - sigma * velocity[k]),
    noise: latents.map((value, k) => sigma * value + signal * velocity[k]),
  };
}

/** Which of `steps` steps an edit of this strength skips: what StableDiffusionImg2ImgPipeline.get_timesteps does. */
export function skipped(steps, strength) {
  return steps - Math.min(Math.floor(steps * strength), steps);
}

/** What is drawn for a seed, one array of `count` numbers a call. */
export function generator(seed, count, known) {
  let draws = 0;
  const more = gaussian(seed);
  return () => {
    const place = draws++;
    if (seed < known.seeds && place < known.draws) {
      const start = (seed * known.draws + place) * count;
      return known.noise.slice(start, start + count);
    }
    return Float32Array.from({ length: count }, more);
  };
}

/** Normal deviates: Box and Muller's transform (1958) of sfc32 (Doty-Humphrey, PractRand), seeded by its first outputs. */
function gaussian(seed) {
  let [a, b, c, d] = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0, 0x9e3779b9, 1];
  const uniform = () => {
    const sum = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    return ((sum >>> 0) + 0.5) / 2 ** 32;
  };
  for (let k = 0; k < 15; k++) uniform();
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** An edit that was given up because another was asked for. */
export class Cancelled extends Error {}

/** The classroom model: its networks, loaded when they are first needed, its tokenizer and its schedule. */
export class Model {
  /**
   * @param ort onnxruntime-web.
   * @param settings what model.json holds.
   * @param noise the numbers of noise.bin.
   * @param load a function that gives the bytes of a network by its name, perhaps later.
   * @param Tokenizer that of @huggingface/tokenizers.
   */
  constructor(ort, settings, noise, load, Tokenizer) {
    Object.assign(this, { ort, settings, load });
    const { seeds, draws, side, channels } = settings;
    this.known = { seeds, draws, noise };
    this.count = channels * side * side;
    this.tokenizer = new Tokenizer(settings.tokenizer, {});
    this.networks = new Map();
    this.texts = new Map();
  }

  /** A network, by its name: the promise of a session of onnxruntime. */
  network(name) {
    if (!this.networks.has(name)) {
      const options = { executionProviders: ["wasm"], graphOptimizationLevel: "all" };
      const coming = this.load(name).then((bytes) => this.ort.InferenceSession.create(bytes, options));
      coming.catch(() => this.networks.delete(name)); // the next edit asks for it again
      this.networks.set(name, coming);
    }
    return this.networks.get(name);
  }

  /** What a network answers to `inputs`, an array of numbers and a shape each. */
  async run(name, inputs) {
    const network = await this.network(name);
    const given = Object.entries(inputs).map(([input, [numbers, shape]]) => {
      const kind = numbers instanceof BigInt64Array ? "int64" : "float32";
      return [input, new this.ort.Tensor(kind, numbers, shape)];
    });
    const { out } = await network.run(Object.fromEntries(given));
    return out.data;
  }

  /** How many tokens of a prompt come too late to be read. */
  unread(text) {
    return Math.max(this.tokenizer.encode(text).ids.length - this.settings.length, 0);
  }

  /** A prompt's token ids, as many as the text encoder reads. */
  tokens(text) {
    const { length, pad } = this.settings;
    const ids = this.tokenizer.encode(text).ids;
    const read = ids.length > length ? [...ids.slice(0, length - 1), ids[ids.length - 1]] : ids;
    return [...read, ...Array(length - read.length).fill(pad)];
  }

  /** The text encoder's answer to a prompt; the last ones are kept. */
  async embed(text) {
    if (!this.texts.has(text)) {
      const ids = BigInt64Array.from(this.tokens(text), BigInt);
      if (this.texts.size > 20) this.texts.clear();
      this.texts.set(text, await this.run("text_encoder", { ids: [ids, [1, ids.length]] }));
    }
    return this.texts.get(text);
  }

  /** Mean and deviation of a picture's latents; those of the last picture are kept. */
  async encode(pixels) {
    const { side, factor } = this.settings;
    if (this.picture !== pixels) {
      this.moments = await this.run("encoder", { pixels: [pixels, [1, 3, side * factor, side * factor]] });
      this.picture = pixels;
    }
    return { mean: this.moments.subarray(0, this.count), deviation: this.moments.subarray(this.count) };
  }

  /**
   * One edit: encode, add noise, denoise, decode.
   *
   * @param call `pixels` (3 × height × width numbers from -1 to 1), `prompt`, `negativePrompt`, `strength` (0 to 1), `steps`,
   *     `guidance`, `seed`, `few` (the adapter for few steps, and its scheduler).
   * @param onStep called with the number of steps done and to do; when it gives true the edit is given up.
   * @param onLook called with what the tiny decoder makes of the latents, now and then (of few steps, which are noise but for
   *     the last, in the end alone); when it gives true in the end, that look is the edit.
   * @returns the pixels of the edit, and what was run.
   */
  async edit(call, onStep = async () => false, onLook = undefined) {
    const { pixels, prompt, negativePrompt = "", strength, steps, guidance, seed = 0, few = false } = call;
    const scheduler = new (few ? LCM : DDIM)(this.settings, steps);
    const first = skipped(steps, strength);
    const { timesteps, alphas } = scheduler;
    if (first === steps) {
      const least = Math.ceil(100 / steps) / 100;
      throw new RangeError(`At strength ${strength} none of ${steps} steps is run; raise it to ${least} at least.`);
    }
    const draw = generator(seed, this.count, this.known);
    const texts = guidance > 1 ? [negativePrompt, prompt] : [prompt];
    const hidden = join(await Promise.all(texts.map((text) => this.embed(text))));
    const { mean, deviation } = await this.encode(pixels);
    const [sampled, noise] = [draw(), draw()];
    const start = mean.map((value, k) => value + deviation[k] * sampled[k]);
    const signal = Math.sqrt(alphas[timesteps[first]]);
    const run = { steps: steps - first, of: steps, timestep: timesteps[first], signal, guidance, seed };
    let latents = mix(start, noise, alphas[timesteps[first]]);
    for (let i = first; i < steps; i++) {
      if (await onStep(i - first, steps - first)) throw new Cancelled();
      latents = scheduler.step(i, latents, await this.velocity(few, latents, timesteps[i], hidden, texts.length, guidance), draw);
      const last = i === steps - 1;
      if (onLook && (few ? last : (steps - 1 - i) % LOOK_EVERY === 0)) {
        const look = await this.decode(latents, true);
        if ((await onLook(look)) && last) return { pixels: look, run };
      }
    }
    return { pixels: await this.decode(latents), run };
  }

  /** The UNet's answer; with guidance it is asked twice, and pushed away from what the negative prompt says. */
  async velocity(few, latents, timestep, hidden, texts, guidance) {
    const { side, channels, length } = this.settings;
    const answer = await this.run(few ? "unet_few" : "unet", {
      latents: [join(Array(texts).fill(latents)), [texts, channels, side, side]],
      timestep: [Float32Array.of(timestep), [1]],
      hidden: [hidden, [texts, length, hidden.length / texts / length]],
    });
    if (texts === 1) return answer;
    const [unwanted, wanted] = [answer.subarray(0, this.count), answer.subarray(this.count)];
    return wanted.map((value, k) => unwanted[k] + guidance * (value - unwanted[k]));
  }

  /** Latents as pixels. */
  async decode(latents, tiny = false) {
    const { side, channels } = this.settings;
    return this.run(tiny ? "decoder_tiny" : "decoder", { latents: [latents, [1, channels, side, side]] });
  }
}

function join(arrays) {
  const joined = new Float32Array(arrays.reduce((total, one) => total + one.length, 0));
  arrays.reduce((start, one) => (joined.set(one, start), start + one.length), 0);
  return joined;
}

/** A canvas' RGBA bytes as pixels: 3 × height × width numbers from -1 to 1. */
export function toPixels(rgba) {
  const count = rgba.length / 4;
  return Float32Array.from({ length: 3 * count }, (_, k) => rgba[4 * (k % count) + Math.floor(k / count)] / 127.5 - 1);
}

/** Pixels as a canvas' RGBA bytes, rounded as the pipeline does. */
export function toRGBA(pixels) {
  const count = pixels.length / 3;
  const value = (k) => Math.min(Math.max(pixels[(k % 4) * count + (k >> 2)] / 2 + 0.5, 0), 1) * 255;
  return Uint8ClampedArray.from({ length: 4 * count }, (_, k) => (k % 4 === 3 ? 255 : Math.round(value(k))));
}
