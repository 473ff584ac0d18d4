// The page to ask on: chooses scenes, asks, and shows progress. answer.js has what is done with an answer.

import { Answer } from "./answer.js";
import { get, post, remove, upload } from "./api.js";
import { element, show, toast } from "./elements.js";
import { SceneMap } from "./scene_map.js";

const at = (id) => document.getElementById(id);
const POLL_MS = 300;
const MOST_SIDE = 2048;

let choices, scene;
const history = [];
const map = new SceneMap(at("map"));
map.onDamage = () => toast("A part of the picture cannot be read: the file is damaged there, or has changed.");
const answer = new Answer(map, async () => {
  const content = await post(`/api/scenes/${scene.key}/blank`, chosen());
  remember(content);
  return content;
});

const chosen = () => ({
  system: at("system").value, segmenter: at("segmenter").value, bands: at("bands").value, draws: Number(at("draws").value) || 0,
});

// Do something for a person; a fault becomes a sentence.
async function attempt(task) {
  try {
    return await task();
  } catch (fault) {
    toast(fault.message);
  }
}

async function loadChoices(selected) {
  choices = await get("/api/choices");
  const groups = new Map();
  for (const item of choices.scenes) {
    if (!groups.has(item.group)) groups.set(item.group, element("optgroup", { label: item.group }));
    groups.get(item.group).append(element("option", { value: item.key }, item.name));
  }
  const first = element("option", { value: "" }, choices.scenes.length ? "Choose a scene" : "No scene yet: open a file");
  at("scene").replaceChildren(first, ...groups.values());
  at("scene").value = selected ?? scene?.key ?? "";
  if (!at("system").options.length) {
    at("system").replaceChildren(...choices.systems.map((item) => element("option", { value: item.name }, item.name)));
    at("system").value = choices.system;
    const own = element("option", { value: "" }, "that of the system");
    at("segmenter").replaceChildren(own, ...choices.segmenters.map((name) => element("option", { value: name }, name)));
    explain();
  }
}

function explain() {
  const item = choices.systems.find((system) => system.name === at("system").value);
  const warning = item?.drawn_only ? " It knows drawn scenes only, and guesses on real imagery." : "";
  at("reason").textContent = item ? `${item.reason[0].toUpperCase()}${item.reason.slice(1)}.${warning}` : "";
}

async function open(key) {
  const bands = at("bands").value;
  at("tools").hidden = true;
  try {
    scene = await get(`/api/scenes/${key}?bands=${encodeURIComponent(bands)}`);
  } finally {
    at("tools").hidden = !scene;
  }
  at("scene").value = key;
  at("empty").hidden = true;
  answer.show(null);
  map.show(scene, bands);
  answer.use("select");
  const resolution = scene.metres_per_pixel ? ` · ${Number(scene.metres_per_pixel.toPrecision(3))} m per pixel` : "";
  at("about").textContent = `${scene.width.toLocaleString("en")} × ${scene.height.toLocaleString("en")} pixels${resolution} · band${scene.bands.length > 1 ? "s" : ""} ${scene.bands.join(", ")}`;
  at("notes").replaceChildren(...scene.notes.map((note) => element("li", {}, note)));
  at("forget").hidden = !scene.uploaded;
  at("part").textContent = Math.max(scene.width, scene.height) > MOST_SIDE
    ? `The part on view is kept, at most ${MOST_SIDE.toLocaleString("en")} pixels per side.` : "The whole picture is kept.";
  show("kept", "");
}

async function give(file) {
  if (file.size > choices.most_bytes)
    throw new Error(`The file has more than ${Math.round(choices.most_bytes / 1e6).toLocaleString("en")} MB: put it into the folder of imagery instead.`);
  at("about").textContent = `Reading ${file.name} …`;
  try {
    const { key } = await upload(file);
    await loadChoices(key);
    await open(key);
  } catch (fault) {
    at("about").textContent = "";
    throw fault;
  }
}

function remember(content) {
  history.unshift({ key: content.key, scene: content.scene, text: content.question || "Prompted by hand" });
  at("history").replaceChildren(...history.slice(1).map((item) => {
    const button = element("button", { type: "button", title: item.text }, item.text);
    button.addEventListener("click", () => attempt(() => showAgain(item)));
    return element("li", {}, button);
  }));
  at("earlier").hidden = history.length < 2;
}

async function showAgain(item) {
  if (scene?.key !== item.scene) await open(item.scene);
  answer.show(await get(`/api/answers/${item.key}`));
}

async function ask() {
  if (!scene) throw new Error("Choose a scene first.");
  if (!at("question").value.trim()) throw new Error("Write a question first.");
  await post(`/api/scenes/${scene.key}/ask`, { ...chosen(), question: at("question").value });
  await follow();
}

// Show the progress of the question that is being answered, then its answer.
async function follow() {
  at("ask").disabled = at("byhand").disabled = true;
  at("progress").hidden = false;
  try {
    for (;;) {
      const work = await get("/api/work");
      if (work.state !== "running") return await finished(work);
      at("line").textContent = work.sentence;
      if (work.total) Object.assign(at("bar"), { max: work.total, value: work.done });
      else at("bar").removeAttribute("value");
      await new Promise((done) => setTimeout(done, POLL_MS));
    }
  } finally {
    at("ask").disabled = at("byhand").disabled = false;
    at("progress").hidden = true;
  }
}

async function finished(work) {
  if (work.state === "failed") throw new Error(work.sentence);
  if (work.state === "stopped") return toast(work.sentence);
  if (!work.result) return;
  if (scene?.key !== work.result.scene) await open(work.result.scene);
  answer.show(work.result);
  answer.use("select");
  remember(work.result);
}

async function keep() {
  const isLarge = Math.max(scene.width, scene.height) > MOST_SIDE;
  const sample = await post(`${answer.path}/sample`, {
    question: answer.content.question || at("label").value, dataset: at("dataset").value, split: at("split").value,
    view: isLarge ? map.view() : null,
  });
  const count = sample.samples === 1 ? "1 question" : `${sample.samples} questions`;
  at("kept").replaceChildren(`Kept. The dataset has ${count} now. This command reads it:`, element("code", {}, sample.command));
  at("kept").hidden = false;
}

function theme(name) {
  document.documentElement.dataset.theme = name;
}

theme(localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
at("theme").addEventListener("click", () => {
  theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  localStorage.setItem("theme", document.documentElement.dataset.theme);
});
at("scene").addEventListener("change", () => at("scene").value && attempt(() => open(at("scene").value)));
at("scene").addEventListener("focus", () => attempt(() => loadChoices()));
at("system").addEventListener("change", explain);
at("bands").addEventListener("change", () => scene && attempt(() => open(scene.key)));
at("choose").addEventListener("click", () => at("file").click());
at("file").addEventListener("change", () => {
  const [file] = at("file").files;
  if (file) attempt(() => give(file));
  at("file").value = "";
});
at("forget").addEventListener("click", () => attempt(async () => {
  await remove(`/api/scenes/${scene.key}`);
  location.reload();
}));
at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(ask);
});
at("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    if (!at("ask").disabled) attempt(ask);
  }
});
at("byhand").addEventListener("click", () => attempt(async () => {
  if (!scene) throw new Error("Choose a scene first.");
  answer.show(await answer.startBlank());
  answer.use("box");
}));
at("stop").addEventListener("click", () => attempt(() => remove("/api/work")));
at("keep").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(keep);
});
at("fit").addEventListener("click", () => map.fit());
const veil = () => {
  const visible = at("veil").getAttribute("aria-pressed") !== "true";
  at("veil").setAttribute("aria-pressed", String(visible));
  map.veil(visible);
};
at("veil").addEventListener("click", veil);
for (const button of document.querySelectorAll("[data-tool]"))
  button.addEventListener("click", () => answer.use(button.dataset.tool));

const KEYS = { v: "select", b: "box", p: "point", n: "not", e: "erase" };
document.addEventListener("keydown", (event) => {
  if (!scene || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  if (KEYS[event.key]) answer.use(KEYS[event.key]);
  else if (event.key === "m") veil();
  else if (event.key === "f") map.fit();
  else if (event.key === "Escape") answer.tool === "select" ? answer.choose(null) : answer.use("select");
  else if (event.key === "Delete" && answer.chosen !== null) answer.delete(answer.chosen);
});

const stage = at("stage");
for (const name of ["dragover", "dragleave", "drop"])
  document.addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").hidden = name !== "dragover";
    const file = name === "drop" && event.dataTransfer.files[0];
    if (file) attempt(() => give(file));
  });

attempt(async () => {
  await loadChoices();
  const work = await get("/api/work");
  if (work.state === "running") await follow();
  else if (work.result) {
    await open(work.result.scene);
    answer.show(await get(`/api/answers/${work.result.key}`));
  }
  document.body.dataset.ready = "true";
});
