// The answer on the page: its objects on the map and in the list, and what a person changes in them.

import { get, post, put, remove } from "./api.js";
import { area, element, show, toast } from "./elements.js";

// While a handle is dragged, masks are made if the last one took less than this. Otherwise the drag would wait for them.
const LIVE_MS = 400;
const HINTS = {
  select: "",
  box: "Drag a box around an object.",
  point: "Click on an object. A point is added to the chosen object, else it makes a new one.",
  not: "Click beside the chosen object, on what its mask must not cover.",
  erase: "Click a point of the chosen object, or an object, to remove it.",
};

export class Answer {
  constructor(map, startBlank) {
    Object.assign(this, { map, startBlank, content: null, chosen: null, tool: "select", pending: new Map(), active: 0, lastMs: Infinity });
    map.onChoose = (number, event) => this.clicked(number, event);
    map.onEdit = (number, prompt, isLast) => {
      if (isLast || this.lastMs < LIVE_MS) this.edit(number, prompt);
    };
    map.onErasePoint = (number, name, index) => this.erasePoint(number, name, index);
    map.map.on("click", (event) => this.clickedMap(event));
  }

  get path() {
    return `/api/answers/${this.content.key}`;
  }

  item(number) {
    return this.content?.objects.find((item) => item.number === number);
  }

  show(content) {
    this.content = content;
    this.chosen = null;
    this.pending.clear();
    this.map.clear();
    for (const item of content?.objects ?? []) this.map.draw(item, false);
    this.render();
  }

  // Take one of the tools of the toolbar.
  use(tool) {
    this.tool = tool;
    this.endDrawing?.();
    this.endDrawing = tool === "box" ? this.map.drawBoxes((box) => this.add({ bbox: box })) : null;
    this.map.map.getContainer().classList.toggle("drawing", tool !== "select");
    for (const button of document.querySelectorAll("[data-tool]"))
      button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    show("hint", HINTS[tool]);
  }

  choose(number) {
    const before = this.item(this.chosen);
    this.chosen = number;
    if (before) this.map.draw(before, false);
    const item = this.item(number);
    if (item) this.map.draw(item, true);
    this.map.handle(item);
    this.renderChosen();
  }

  clicked(number, event) {
    if (this.tool === "select") {
      window.L.DomEvent.stopPropagation(event);
      this.choose(number);
    } else if (this.tool === "erase") {
      window.L.DomEvent.stopPropagation(event);
      this.delete(number);
    }
  }

  clickedMap(event) {
    const at = [event.latlng.lng, -event.latlng.lat];
    if (!this.map.scene) return;
    const item = this.item(this.chosen);
    if (this.tool === "select") this.choose(null);
    else if (this.tool === "point" && item) this.addPoint(item, "positive_points", at);
    else if (this.tool === "point") this.add({ positive_points: [at] });
    else if (this.tool === "not" && item) this.addPoint(item, "negative_points", at);
    else if (this.tool === "not") toast("Choose an object first, then click beside it.");
  }

  addPoint(item, name, at) {
    const prompt = structuredClone(item.prompt);
    prompt[name].push(at);
    item.prompt = prompt;
    this.map.handle(item);
    this.edit(item.number, prompt);
  }

  erasePoint(number, name, index) {
    if (this.tool !== "erase") return;
    const item = this.item(number), prompt = structuredClone(item.prompt);
    prompt[name].splice(index, 1);
    if (!prompt.bbox && !prompt.positive_points.length) return void this.delete(number);
    item.prompt = prompt;
    this.map.handle(item);
    this.edit(number, prompt);
  }

  // A new object, in the answer that is shown or in a new one.
  async add(prompt) {
    const whole = { bbox: null, positive_points: [], negative_points: [], ...prompt };
    await this.working(async () => {
      if (!this.content) this.show(await this.startBlank());
      const answer = await post(`${this.path}/objects`, { prompt: whole });
      this.content.objects.push(answer.object);
      this.content.author = answer.author;
      this.render();
      this.choose(answer.object.number);
    });
  }

  // Segment an object again. While a request is under way, only the last of the following prompts is sent.
  async edit(number, prompt) {
    const isActive = this.pending.has(number);
    this.pending.set(number, prompt);
    if (isActive) return;
    const path = this.path;
    await this.working(async () => {
      try {
        for (let next = prompt; next; ) {
          const start = performance.now();
          const answer = await put(`${path}/objects/${number}`, { prompt: next });
          this.lastMs = performance.now() - start;
          if (!this.content || this.path !== path) return;
          const newer = this.pending.get(number);
          this.replace(number, answer, newer);
          next = newer === next ? null : newer;
        }
      } finally {
        this.pending.delete(number);
      }
    });
  }

  replace(number, answer, prompt) {
    const index = this.content.objects.findIndex((item) => item.number === number);
    if (index < 0) return;
    this.content.objects[index] = { ...answer.object, prompt: prompt ?? answer.object.prompt };
    this.content.author = answer.author;
    this.map.draw(this.content.objects[index], number === this.chosen);
    this.render();
  }

  async delete(number) {
    await this.working(async () => {
      await remove(`${this.path}/objects/${number}`);
      this.content.objects = this.content.objects.filter((item) => item.number !== number);
      this.map.erase(number);
      if (this.chosen === number) this.choose(null);
      this.content = { ...(await get(this.path)), objects: this.content.objects };
      this.render();
    });
  }

  async working(task) {
    const stage = document.getElementById("stage");
    this.active += 1;
    stage.classList.add("working");
    try {
      await task();
    } catch (fault) {
      toast(fault.message);
    } finally {
      this.active -= 1;
      stage.classList.toggle("working", this.active > 0);
    }
  }

  render() {
    const content = this.content;
    document.getElementById("answer").hidden = !content;
    if (!content) return;
    document.getElementById("asked").textContent = content.question || "Prompted by hand";
    const isAsWritten = content.folder && content.author === content.system;
    document.getElementById("author").textContent = isAsWritten ? `${content.author} · files in ${content.folder}` : content.author;
    document.getElementById("thoughts").replaceChildren(...thoughts(content, this.map));
    document.getElementById("total").textContent = total(content);
    document.getElementById("objects").replaceChildren(...content.objects.map((item) => this.row(item)));
    document.getElementById("files").replaceChildren(
      ...[["mask.tif", "Mask (COG)"], ["objects.gpkg", "GeoPackage"], ["objects.geojson", "GeoJSON"]].map(([name, text]) =>
        element("a", { href: `${this.path}/files/${name}`, download: "", "data-file": name }, text)),
    );
    document.getElementById("keptquestion").hidden = Boolean(content.question);
    this.renderChosen();
  }

  row(item) {
    const measure = item.area_m2 === null ? `${item.pixels.toLocaleString("en")} px` : area(item.area_m2);
    const meter = element("meter", { min: "0", max: "1", value: String(item.confidence) });
    const sampled = item.agreement === null ? "" : `, ${Math.round(100 * item.agreement)} % of the samples agree`;
    meter.title = `confidence ${item.confidence.toFixed(2)}${sampled}`;
    const erase = element("button", { type: "button", title: "Remove this object", "aria-label": `Remove object ${item.number}` }, "×");
    erase.addEventListener("click", (event) => {
      event.stopPropagation();
      this.delete(item.number);
    });
    const row = element("li", { "data-object": String(item.number) },
      element("span", { class: "number" }, `${item.number}`), element("span", {}, measure), element("span", { class: "sure" }, meter, item.confidence.toFixed(2)), erase);
    row.addEventListener("click", () => {
      this.choose(item.number);
      this.map.goTo(bounds(item));
    });
    return row;
  }

  renderChosen() {
    for (const row of document.querySelectorAll("#objects li"))
      row.setAttribute("aria-current", String(row.dataset.object === String(this.chosen)));
  }
}

function bounds(item) {
  const points = item.outline.flatMap((polygon) => polygon[0]);
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  const least = (values) => values.reduce((a, b) => Math.min(a, b)), most = (values) => values.reduce((a, b) => Math.max(a, b));
  return [least(xs), least(ys), most(xs), most(ys)];
}

function total(content) {
  const count = content.objects.length;
  const parts = [count === 1 ? "1 object" : `${count.toLocaleString("en")} objects`];
  if (count && content.objects[0].area_m2 !== null)
    parts.push(area(content.objects.reduce((sum, item) => sum + item.area_m2, 0)));
  if (content.views > 1) parts.push(`${content.views.toLocaleString("en")} views`);
  if (content.failed) parts.push(`${content.failed} views failed: ask again to repeat them`);
  if (!count && content.question) parts[0] = "No target: the system answers that there is none, or its masks are empty";
  return parts.join(" · ");
}

function thoughts(content, map) {
  return content.thoughts.flatMap((item, index) => {
    const say = { unreadable: `The answer could not be read: ${item.detail}`, failed: `This view failed: ${item.detail}`, absent: "No pixel of this view is present." }[item.status];
    const text = say ?? item.thought;
    const quote = text ? element("blockquote", {}, text) : null;
    if (quote && content.views > 1) {
      quote.title = "Show this view";
      quote.addEventListener("click", () => map.goTo(item.view));
    }
    const raw = item.text && item.text !== item.thought ? element("details", {}, element("summary", {}, "Raw answer"), element("pre", {}, item.text)) : null;
    return (index < 6 || item.objects ? [quote, raw] : []).filter(Boolean);
  });
}
