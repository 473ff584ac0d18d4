// The map of a scene. Positions are pixels of the scene: x goes to the right, y goes down. Leaflet's latitude is -y.

const L = window.L;
const MASK = "#1677ff", CHOSEN = "#ffb020", BOX = "#e5484d", POSITIVE = "#1f9d55", NEGATIVE = "#e5484d";

const place = ([x, y]) => L.latLng(-y, x);
export const pixel = (at) => [at.lng, -at.lat];

export class SceneMap {
  constructor(element) {
    this.map = L.map(element, {
      crs: L.CRS.Simple, attributionControl: false, zoomControl: false, doubleClickZoom: false, boxZoom: false,
      zoomSnap: 0.25, minZoom: -12, maxZoom: 5, preferCanvas: true, maxBoundsViscosity: 0.7,
    });
    L.control.zoom({ position: "bottomright" }).addTo(this.map);
    this.masks = L.layerGroup().addTo(this.map);
    this.prompts = L.layerGroup().addTo(this.map);
    this.handles = L.layerGroup().addTo(this.map);
    this.shapes = new Map();
    this.onChoose = this.onEdit = this.onErasePoint = this.onDamage = () => {};
    this.map.on("zoomend", () => element.classList.toggle("magnified", this.map.getZoom() > 1));
    new ResizeObserver(() => this.map.invalidateSize()).observe(element);
  }

  show(scene, bands) {
    this.scene = scene;
    this.clear();
    this.tiles?.remove();
    const bounds = L.latLngBounds([[0, 0], [-scene.height, scene.width]]);
    const query = `bands=${encodeURIComponent(bands)}&v=${scene.version}`;
    const Tiles = L.TileLayer.extend({
      getTileUrl: (at) => `/api/scenes/${scene.key}/tiles/${-at.z}/${at.x}/${at.y}?${query}`,
      // A browser rounds the edges of tiles that are shown at a fraction of a zoom. Without this, lines show between them.
      _initTile(tile) {
        L.TileLayer.prototype._initTile.call(this, tile);
        tile.style.width = tile.style.height = `${this.getTileSize().x + 0.5}px`;
      },
    });
    this.map.setMinZoom(-scene.levels - 2);
    this.map.setMaxBounds(bounds.pad(0.5));
    this.tiles = new Tiles("", { bounds, noWrap: true, minZoom: -14, maxZoom: 5, minNativeZoom: -scene.levels, maxNativeZoom: 0 });
    this.tiles.once("tileerror", () => this.onDamage());
    this.tiles.addTo(this.map);
    this.fit();
  }

  fit() {
    if (this.scene) this.map.fitBounds([[0, 0], [-this.scene.height, this.scene.width]], { padding: [16, 16], animate: false });
  }

  goTo([x0, y0, x1, y1]) {
    const bounds = L.latLngBounds([place([x0, y0]), place([x1, y1])]);
    if (!this.map.getBounds().contains(bounds) || this.map.getBoundsZoom(bounds) - this.map.getZoom() > 3)
      this.map.fitBounds(bounds.pad(1.5), { maxZoom: Math.max(1, this.map.getZoom()) });
  }

  // The part of the scene on view: x0, y0, x1, y1 in whole pixels.
  view() {
    const bounds = this.map.getBounds();
    const inside = (value, most) => Math.min(Math.max(Math.round(value), 0), most);
    const { width, height } = this.scene;
    return [
      inside(bounds.getWest(), width), inside(-bounds.getNorth(), height),
      inside(bounds.getEast(), width), inside(-bounds.getSouth(), height),
    ];
  }

  clear() {
    this.shapes.clear();
    for (const group of [this.masks, this.prompts, this.handles]) group.clearLayers();
  }

  veil(visible) {
    if (visible) this.masks.addTo(this.map);
    else this.masks.remove();
  }

  // Draw an object, or draw it again.
  draw(item, chosen) {
    this.erase(item.number);
    const { bbox, positive_points: positive, negative_points: negative } = item.prompt;
    const rings = item.outline.map((polygon) => polygon.map((ring) => ring.map(place)));
    const mask = L.polygon(rings, {
      color: chosen ? CHOSEN : MASK, weight: chosen ? 2.5 : 1.5, fillColor: MASK, fillOpacity: 0.38, bubblingMouseEvents: true,
    });
    mask.on("click", (event) => this.onChoose(item.number, event));
    const shapes = [mask.addTo(this.masks)];
    if (!chosen) {
      if (bbox) shapes.push(this._rectangle(bbox).addTo(this.prompts));
      const dot = (color) => (at) =>
        shapes.push(L.circleMarker(place(at), { radius: 5, color: "#fff", weight: 1.5, fillColor: color, fillOpacity: 1, interactive: false }).addTo(this.prompts));
      positive.forEach(dot(POSITIVE));
      negative.forEach(dot(NEGATIVE));
    }
    this.shapes.set(item.number, shapes);
  }

  erase(number) {
    for (const shape of this.shapes.get(number) ?? []) shape.remove(), this.masks.removeLayer(shape), this.prompts.removeLayer(shape);
    this.shapes.delete(number);
  }

  // Handles to move what the chosen object was prompted with.
  handle(item) {
    this.handles.clearLayers();
    if (!item) return;
    const prompt = structuredClone(item.prompt);
    const changed = (isLast) => this.onEdit(item.number, structuredClone(prompt), isLast);
    if (prompt.bbox) this._corners(prompt, changed);
    for (const [kind, sign, name] of [["positive", "+", "positive_points"], ["negative", "−", "negative_points"]])
      prompt[name].forEach((at, index) => {
        const marker = this._marker(at, `handle ${kind}`, sign, 22);
        marker.on("drag dragend", (event) => {
          prompt[name][index] = this._inside(marker.getLatLng());
          changed(event.type === "dragend");
        });
        marker.on("click", () => this.onErasePoint(item.number, name, index));
      });
  }

  _corners(prompt, changed) {
    const rectangle = this._rectangle(prompt.bbox).addTo(this.handles);
    const markers = [[0, 1], [2, 1], [2, 3], [0, 3]].map(([x, y]) => {
      const marker = this._marker([prompt.bbox[x], prompt.bbox[y]], "handle corner", "", 14);
      marker.on("drag dragend", (event) => {
        [prompt.bbox[x], prompt.bbox[y]] = this._inside(marker.getLatLng());
        rectangle.setBounds([place(prompt.bbox.slice(0, 2)), place(prompt.bbox.slice(2))]);
        for (const [other, ox, oy] of markers)
          if (other !== marker) other.setLatLng(place([prompt.bbox[ox], prompt.bbox[oy]]));
        changed(event.type === "dragend");
      });
      return [marker, x, y];
    });
  }

  _marker(at, className, sign, size) {
    const icon = L.divIcon({ className, iconSize: [size, size] });
    const marker = L.marker(place(at), { icon, draggable: true, autoPan: false, keyboard: false }).addTo(this.handles);
    marker.getElement().textContent = sign;
    return marker;
  }

  _rectangle([x0, y0, x1, y1]) {
    return L.rectangle([place([x0, y0]), place([x1, y1])], { color: BOX, weight: 2, fill: false, interactive: false });
  }

  _inside(at) {
    const [x, y] = pixel(at);
    return [Math.min(Math.max(x, 0), this.scene.width), Math.min(Math.max(y, 0), this.scene.height)];
  }

  // Let a person draw a box; `done` gets x0, y0, x1, y1. Returns a function that ends it.
  drawBoxes(done) {
    const element = this.map.getContainer();
    let start, preview;
    const at = (event) => this._inside(this.map.mouseEventToLatLng(event));
    const down = (event) => {
      if (event.button !== 0 || event.target.closest(".leaflet-control, .handle")) return;
      start = at(event);
      element.setPointerCapture(event.pointerId);
      event.stopPropagation();
      preview = this._rectangle([...start, ...start]).addTo(this.map);
    };
    const move = (event) => {
      if (start) preview.setBounds([place(start), place(at(event))]);
    };
    const up = (event) => {
      if (!start) return;
      const [x0, y0] = start, [x1, y1] = at(event);
      start = undefined;
      preview.remove();
      if (Math.abs(x1 - x0) >= 1 && Math.abs(y1 - y0) >= 1)
        done([Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)]);
    };
    this.map.dragging.disable();
    const events = { pointerdown: down, pointermove: move, pointerup: up, pointercancel: up };
    for (const [name, handler] of Object.entries(events)) element.addEventListener(name, handler);
    return () => {
      preview?.remove();
      this.map.dragging.enable();
      for (const [name, handler] of Object.entries(events)) element.removeEventListener(name, handler);
    };
  }
}
