/** A canvas that shows a picture at any zoom, moved with pointer, wheel, two fingers or keys; the editor draws on top. */

/** Longest steps between two sizes of a picture's tiles. */
const SIDE = 256;

export class View {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{width: number, height: number, preview: Promise<CanvasImageSource>, tile?: (level: number, x: number, y: number) => string}} source
   * @param {(context: CanvasRenderingContext2D, view: View) => void} over draws what lies over the picture
   */
  constructor(canvas, source, over) {
    this.canvas = canvas;
    this.source = source;
    this.over = over;
    this.picture = null;
    this.tiles = new Map();
    this.scale = 1; // screen pixels (CSS) for one of the picture
    this.x = 0; // where the picture's corner lies in the canvas, CSS pixels
    this.y = 0;
    this.fitted = true;
    this.levels = Math.ceil(Math.log2(Math.max(source.width, source.height, 1)));
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(canvas);
    canvas.addEventListener("wheel", (e) => this.#wheel(e), { passive: false });
    source.preview.then((picture) => { this.picture = picture; this.draw(); });
  }

  /** Free what it holds. */
  close() {
    this.observer.disconnect();
    this.tiles.clear();
  }

  #resized() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    if (this.fitted) this.fit();
    else this.draw();
  }

  /** Show the whole picture. */
  fit() {
    const { clientWidth, clientHeight } = this.canvas;
    this.scale = Math.min((clientWidth - 8) / this.source.width, (clientHeight - 8) / this.source.height, 32);
    this.x = (clientWidth - this.scale * this.source.width) / 2;
    this.y = (clientHeight - this.scale * this.source.height) / 2;
    this.fitted = true;
    this.draw();
  }

  /** Zoom by a factor around a place of the canvas; without one around its middle. */
  zoom(factor, px = this.canvas.clientWidth / 2, py = this.canvas.clientHeight / 2) {
    const least = Math.min(1, 64 / Math.max(this.source.width, this.source.height));
    const scale = Math.min(64, Math.max(least, this.scale * factor));
    this.x = px - ((px - this.x) * scale) / this.scale;
    this.y = py - ((py - this.y) * scale) / this.scale;
    this.scale = scale;
    this.fitted = false;
    this.draw();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.fitted = false;
    this.draw();
  }

  /** Make a place of the picture visible, with some room around it. */
  show([x, y]) {
    const [sx, sy] = this.toScreen([x, y]);
    const { clientWidth: w, clientHeight: hgt } = this.canvas;
    const dx = sx < 24 ? 24 - sx : sx > w - 24 ? w - 24 - sx : 0;
    const dy = sy < 24 ? 24 - sy : sy > hgt - 24 ? hgt - 24 - sy : 0;
    if (dx || dy) this.pan(dx, dy);
  }

  #wheel(event) {
    event.preventDefault();
    const box = this.canvas.getBoundingClientRect();
    this.zoom(Math.exp(-event.deltaY / (event.ctrlKey ? 120 : 480)), event.clientX - box.left, event.clientY - box.top);
  }

  /** Place in the picture of a place on the canvas, pixels. */
  toPicture([x, y]) { return [(x - this.x) / this.scale, (y - this.y) / this.scale]; }

  toScreen([x, y]) { return [x * this.scale + this.x, y * this.scale + this.y]; }

  /** Part of the picture that is seen: x0, y0, x1, y1, whole pixels. */
  seen() {
    const [x0, y0] = this.toPicture([0, 0]);
    const [x1, y1] = this.toPicture([this.canvas.clientWidth, this.canvas.clientHeight]);
    return [
      Math.max(0, Math.floor(x0)), Math.max(0, Math.floor(y0)),
      Math.min(this.source.width, Math.ceil(x1)), Math.min(this.source.height, Math.ceil(y1)),
    ];
  }

  /** Draw at the next frame. */
  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.#paint();
    });
  }

  #paint() {
    const ratio = this.canvas.width / (this.canvas.clientWidth || 1);
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(ratio * this.scale, 0, 0, ratio * this.scale, ratio * this.x, ratio * this.y);
    context.imageSmoothingEnabled = this.scale * ratio < 3; // single pixels stay squares
    if (this.picture) {
      context.drawImage(this.picture, 0, 0, this.source.width, this.source.height);
      if (this.source.tile && this.scale * ratio > (1.2 * this.picture.width) / this.source.width) this.#paintTiles(context, ratio);
    }
    this.over(context, this);
  }

  #paintTiles(context, ratio) {
    const level = Math.max(0, Math.min(this.levels, this.levels + Math.ceil(Math.log2(this.scale * ratio) - 0.25)));
    const size = SIDE * 2 ** (this.levels - level);
    const [x0, y0, x1, y1] = this.seen();
    for (let y = Math.floor(y0 / size); y * size < y1; y += 1) {
      for (let x = Math.floor(x0 / size); x * size < x1; x += 1) {
        const url = this.source.tile(level, x, y);
        let tile = this.tiles.get(url);
        if (!tile) {
          tile = new Image();
          tile.onload = () => this.draw();
          tile.src = url;
          this.tiles.set(url, tile);
          if (this.tiles.size > 400) this.tiles.delete(this.tiles.keys().next().value);
        }
        if (tile.complete && tile.naturalWidth) {
          const width = Math.min(size, this.source.width - x * size);
          const height = Math.min(size, this.source.height - y * size);
          context.drawImage(tile, x * size, y * size, width, height);
        }
      }
    }
  }
}
