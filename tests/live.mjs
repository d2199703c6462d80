// Runs book/live/diffusion.js in Node on the networks of a folder: node tests/live.mjs FOLDER JOB, both paths; see test_live.py.
import { readFileSync, writeFileSync } from "node:fs";
import * as ort from "../build/live/node_modules/onnxruntime-web/dist/ort.node.min.mjs";
import { Tokenizer } from "../build/live/node_modules/@huggingface/tokenizers/dist/tokenizers.mjs";
import * as live from "../book/live/diffusion.js";

const [folder, job] = process.argv.slice(2);
ort.env.wasm.numThreads = 1;
const settings = JSON.parse(readFileSync(`${folder}/model.json`));
const noise = new Float32Array(new Uint8Array(readFileSync(`${folder}/noise.bin`)).buffer);
const model = new live.Model(ort, settings, noise, async (name) => readFileSync(`${folder}/${name}.onnx`), Tokenizer);
const { texts, plans, draws, edits } = JSON.parse(readFileSync(job));
const told = {
  tokens: texts.map((text) => model.tokens(text)),
  plans: plans.map(({ few, steps, strength }) => {
    const { timesteps } = new (few ? live.LCM : live.DDIM)(settings, steps);
    return timesteps.slice(live.skipped(steps, strength));
  }),
  draws: draws.map((seed) => Array.from(live.generator(seed, 20000, { seeds: 0 })())),
  runs: [],
};
for (const { rgba, call, out } of edits) {
  let looks = 0;
  const onLook = async (pixels) => {
    looks++;
    writeFileSync(`${out}.look`, live.toRGBA(pixels));
    return call.enough;
  };
  const made = await model.edit({ ...call, pixels: live.toPixels(readFileSync(rgba)) }, async () => false, onLook);
  writeFileSync(out, live.toRGBA(made.pixels));
  told.runs.push({ ...made.run, looks });
}
console.log(JSON.stringify(told));
