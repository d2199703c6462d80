// The classroom model in a thread of its own, so that the page stays usable. build.py bundles this with what it imports.
//
// The page sends {do: "start"}, {do: "file", name, parts} or, if it could not be had, {do: "file", name, why},
// {do: "edit", id, who, rgba, call} and {do: "cancel", who}; the worker
// answers {told: "ready", words, size, pictures}, {told: "wants", name}, {told: "step", id, done, of}, {told: "look", id, rgba},
// {told: "made", id, rgba, run, ms}, {told: "cancelled", id} and {told: "failed", id, why}.

import * as ort from "onnxruntime-web/wasm";
import { Tokenizer } from "@huggingface/tokenizers";
import { Cancelled, Model, toPixels, toRGBA } from "./diffusion.js";

let model;
let wanted; // the edit to make, or nothing
let running; // the one that is being made
let dropped; // the number of one that was cancelled while it was made
let changed = () => {}; // called when another is wanted, or none
let shown; // the last picture's bytes and its pixels, so that it is encoded once
const waiting = new Map();

/** A file's bytes; the page is asked for them, in base64, which scripts may hold where pages are opened as files. */
function fetched(name) {
  return new Promise((resolve, reject) => {
    waiting.set(name, { resolve, reject });
    postMessage({ told: "wants", name });
  });
}

function decoded(parts) {
  const texts = parts.map((part) => atob(part));
  const bytes = new Uint8Array(texts.reduce((total, text) => total + text.length, 0));
  let at = 0;
  for (const text of texts) for (let k = 0; k < text.length; k++) bytes[at++] = text.charCodeAt(k);
  return bytes;
}

async function start() {
  ort.env.wasm.numThreads = 1; // more need headers that static sites cannot send, and two busy cores were slower
  ort.env.wasm.proxy = false;
  ort.env.wasm.wasmBinary = (await fetched("runtime")).buffer;
  const settings = JSON.parse(new TextDecoder().decode(await fetched("model")));
  const noise = new Float32Array((await fetched("noise")).buffer);
  model = new Model(ort, settings, noise, fetched, Tokenizer);
  const { words, side, factor, pictures } = settings;
  postMessage({ told: "ready", words, size: side * factor, pictures });
}

const turn = () => new Promise((resolve) => setTimeout(resolve)); // lets messages in

/** Those that an edit asks. */
const networks = ({ few, looks }) => [
  ...["text_encoder", "encoder", few ? "unet_few" : "unet", "decoder"],
  ...(looks ? ["decoder_tiny"] : []),
];

async function work() {
  if (running) return;
  while (wanted) {
    const { id, rgba, call } = (running = wanted);
    const onStep = async (done, of) => {
      postMessage({ told: "step", id, done, of });
      await turn();
      // few steps are soon done, and a picture that follows the hand is worth more than the very last one
      return dropped === id || (!call.few && wanted?.id !== id);
    };
    const onLook = async (pixels) => {
      const bytes = toRGBA(pixels);
      postMessage({ told: "look", id, rgba: bytes }, [bytes.buffer]);
      await turn();
      return wanted?.id !== id; // the hand has moved on: nobody waits for a sharper one
    };
    try {
      // nobody waits for a network that is still being fetched once something else is wanted
      const here = Promise.all(networks(call).map((name) => model.network(name)));
      await Promise.race([here, new Promise((resolve) => (changed = resolve))]);
      if (wanted?.id !== id) throw new Cancelled();
      const started = performance.now();
      const made = await model.edit({ ...call, pixels: pixelsOf(rgba) }, onStep, call.looks ? onLook : undefined);
      const bytes = toRGBA(made.pixels);
      const run = { ...made.run, unread: model.unread(call.prompt) };
      postMessage({ told: "made", id, rgba: bytes, run, ms: performance.now() - started }, [bytes.buffer]);
    } catch (error) {
      if (error instanceof Cancelled) postMessage({ told: "cancelled", id });
      else postMessage({ told: "failed", id, why: String(error.message ?? error) });
    }
    await turn();
    if (wanted?.id === id) wanted = undefined;
  }
  running = undefined;
}

function pixelsOf(rgba) {
  if (!shown || shown.rgba.length !== rgba.length || shown.rgba.some((value, k) => value !== rgba[k])) {
    shown = { rgba, pixels: toPixels(rgba) };
  }
  return shown.pixels;
}

onmessage = async ({ data }) => {
  if (data.do === "start") {
    start().catch((error) => postMessage({ told: "failed", why: String(error.message ?? error) }));
  } else if (data.do === "file") {
    const { resolve, reject } = waiting.get(data.name);
    waiting.delete(data.name);
    try {
      if (data.why) throw new Error(data.why);
      resolve(decoded(data.parts));
    } catch (error) {
      reject(error);
    }
  } else {
    const edit = data.do === "edit";
    if (!edit && running?.who === data.who) dropped = running.id;
    if (edit || wanted?.who === data.who) {
      // what waited and never began; what has begun gives itself up
      if (wanted && wanted !== running) postMessage({ told: "cancelled", id: wanted.id });
      wanted = edit ? data : undefined;
    }
    changed();
    if (wanted) work();
  }
};
