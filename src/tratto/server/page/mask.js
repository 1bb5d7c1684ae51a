/**
 * A mask of any size, by layers: one for each class of damage. Pure values: nothing here knows the screen.
 *
 * A layer holds bytes, 0 must stay and 255 may change, in tiles that exist only where something was drawn, so that a mask
 * for a picture of 100 megapixels costs what its strokes cost. An edit keeps the tiles it touched as they were; undo and
 * redo exchange them.
 */

export const TILE = 256;
/** Most bytes of tiles that undo keeps. */
const HISTORY = 256 << 20;

/** One layer: a map from the number of a tile, row by row, to its bytes. */
export class Mask {
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.columns = Math.ceil(width / TILE);
    /** @type {Map<string, Map<number, Uint8Array>>} layer by name; "" is the one without a class */
    this.layers = new Map([["", new Map()]]);
    this.active = "";
    this.undone = [];
    this.done = [];
    this.open = null;
    /** Called with (layer name, tile number) whenever a tile changes. */
    this.ontile = () => {};
    /** Called after each edit, undo and redo. */
    this.onedit = () => {};
  }

  /** Choose the layer that is drawn on; it is made if there is none. */
  use(name) {
    if (!this.layers.has(name)) this.layers.set(name, new Map());
    this.active = name;
  }

  /** Return the value at a place of a layer. */
  at(x, y, name = this.active) {
    const tile = this.layers.get(name)?.get(Math.floor(y / TILE) * this.columns + Math.floor(x / TILE));
    return tile ? tile[(y % TILE) * TILE + (x % TILE)] : 0;
  }

  /** Return one row of a layer, or of the union of all where no name is given. */
  row(y, name = null) {
    const out = new Uint8Array(this.width);
    const first = Math.floor(y / TILE) * this.columns;
    for (const [layer, tiles] of this.layers) {
      if (name !== null && layer !== name) continue;
      for (let c = 0; c < this.columns; c += 1) {
        const tile = tiles.get(first + c);
        if (!tile) continue;
        const from = (y % TILE) * TILE;
        const count = Math.min(TILE, this.width - c * TILE);
        for (let i = 0; i < count; i += 1) out[c * TILE + i] = Math.max(out[c * TILE + i], tile[from + i]);
      }
    }
    return out;
  }

  /** Names of the layers in which something is drawn. */
  drawn() {
    return [...this.layers].filter(([, tiles]) => [...tiles.values()].some((t) => t.some((v) => v > 0))).map(([n]) => n);
  }

  /** Share of the picture that may change. */
  share() {
    let count = 0;
    for (let y = 0; y < this.height; y += TILE) {
      const first = Math.floor(y / TILE) * this.columns;
      for (let c = 0; c < this.columns; c += 1) {
        const tiles = [...this.layers.values()].map((l) => l.get(first + c)).filter(Boolean);
        if (!tiles.length) continue;
        for (let i = 0; i < TILE * TILE; i += 1) if (tiles.some((t) => t[i] > 0)) count += 1;
      }
    }
    return count / (this.width * this.height);
  }

  // -- edits ----------------------------------------------------------------------------------------------------------

  /** Do something that draws, as one step for undo. Edits do not nest. */
  edit(draw) {
    this.begin();
    draw();
    return this.commit();
  }

  /** Begin a step for undo. */
  begin() {
    this.commit();
    this.open = { tiles: new Map() };
  }

  /** End the step; returns whether anything was touched. */
  commit() {
    const step = this.open;
    this.open = null;
    if (!step || !step.tiles.size) return false;
    this.done.push(step);
    this.undone = [];
    let kept = 0;
    for (let i = this.done.length - 1; i >= 0; i -= 1) {
      kept += this.done[i].tiles.size * TILE * TILE;
      if (kept > HISTORY && i < this.done.length - 1) {
        this.done.splice(0, i + 1);
        break;
      }
    }
    this.onedit();
    return true;
  }

  /** Take the last step back. */
  undo() { return this.#exchange(this.done, this.undone); }

  /** Do again what was taken back. */
  redo() { return this.#exchange(this.undone, this.done); }

  #exchange(from, to) {
    this.commit();
    const step = from.pop();
    if (!step) return false;
    for (const kept of step.tiles.values()) {
      const tiles = this.layers.get(kept.name);
      const now = tiles.get(kept.index) ?? null;
      if (kept.tile) tiles.set(kept.index, kept.tile);
      else tiles.delete(kept.index);
      kept.tile = now;
      this.ontile(kept.name, kept.index);
    }
    to.push(step);
    this.onedit();
    return true;
  }

  /** Return a tile of the active layer to write into; what it was is kept for undo. */
  #touch(index) {
    const tiles = this.layers.get(this.active);
    let tile = tiles.get(index);
    const key = `${index}/${this.active}`;
    if (this.open && !this.open.tiles.has(key)) {
      this.open.tiles.set(key, { name: this.active, index, tile: tile ? tile.slice() : null });
    }
    if (!tile) {
      tile = new Uint8Array(TILE * TILE);
      tiles.set(index, tile);
    }
    return tile;
  }

  /** Set pixels x0 <= x < x1 of a row. */
  #span(y, x0, x1, value) {
    x0 = Math.max(0, x0);
    x1 = Math.min(this.width, x1);
    if (y < 0 || y >= this.height || x0 >= x1) return;
    const first = Math.floor(y / TILE) * this.columns;
    for (let c = Math.floor(x0 / TILE); c * TILE < x1; c += 1) {
      if (value === 0 && !this.layers.get(this.active).has(first + c)) continue;
      const tile = this.#touch(first + c);
      const from = (y % TILE) * TILE;
      tile.fill(value, from + Math.max(0, x0 - c * TILE), from + Math.min(TILE, x1 - c * TILE));
      this.ontile(this.active, first + c);
    }
  }

  /** A disc: every pixel whose centre lies within the radius. */
  disc(x, y, radius, value = 255) {
    const r2 = radius * radius;
    for (let row = Math.ceil(y - radius - 0.5); row + 0.5 <= y + radius; row += 1) {
      const dy = row + 0.5 - y;
      const half = Math.sqrt(Math.max(0, r2 - dy * dy));
      this.#span(row, Math.ceil(x - half - 0.5), Math.floor(x + half - 0.5) + 1, value);
    }
    // the finest brush still marks the pixel it is in
    this.#span(Math.floor(y), Math.floor(x), Math.floor(x) + 1, value);
  }

  /** A stroke from one place and radius to another. */
  stroke([x0, y0, r0], [x1, y1, r1], value = 255) {
    const steps = Math.max(1, Math.ceil(Math.hypot(x1 - x0, y1 - y0) / Math.max(0.5, Math.min(r0, r1) / 4)));
    for (let i = 0; i <= steps; i += 1) {
      const t = i / steps;
      this.disc(x0 + t * (x1 - x0), y0 + t * (y1 - y0), r0 + t * (r1 - r0), value);
    }
  }

  /** A filled outline, by the even-odd rule at pixel centres. */
  polygon(points, value = 255) {
    if (points.length < 3) return;
    const ys = points.map((p) => p[1]);
    const last = Math.min(this.height - 1, Math.floor(Math.max(...ys)));
    for (let y = Math.max(0, Math.floor(Math.min(...ys))); y <= last; y += 1) {
      const at = y + 0.5;
      const crossings = [];
      points.forEach(([ax, ay], i) => {
        const [bx, by] = points[(i + 1) % points.length];
        if ((ay <= at) !== (by <= at)) crossings.push(ax + ((at - ay) / (by - ay)) * (bx - ax));
      });
      crossings.sort((a, b) => a - b);
      for (let i = 0; i + 1 < crossings.length; i += 2) {
        this.#span(y, Math.ceil(crossings[i] - 0.5), Math.ceil(crossings[i + 1] - 0.5), value);
      }
    }
  }

  /** What is chosen in a copy of the picture that may be reduced: `chosen` has a byte per pixel of width by height. */
  stamp(chosen, width, height, value = 255) {
    const fx = width / this.width;
    const fy = height / this.height;
    for (let y = 0; y < this.height; y += 1) {
      const from = Math.min(height - 1, Math.floor((y + 0.5) * fy)) * width;
      for (let x = 0; x < this.width; x += 1) {
        if (!chosen[from + Math.min(width - 1, Math.floor((x + 0.5) * fx))]) continue;
        const start = x;
        while (x < this.width && chosen[from + Math.min(width - 1, Math.floor((x + 0.5) * fx))]) x += 1;
        this.#span(y, start, x, value);
      }
    }
  }

  /** Exchange what may change and what must stay. */
  invert() {
    for (let index = 0; index < this.columns * Math.ceil(this.height / TILE); index += 1) {
      const tile = this.#touch(index);
      const rows = Math.min(TILE, this.height - Math.floor(index / this.columns) * TILE);
      const count = Math.min(TILE, this.width - (index % this.columns) * TILE);
      for (let y = 0; y < rows; y += 1) for (let x = 0; x < count; x += 1) tile[y * TILE + x] = 255 - tile[y * TILE + x];
      this.ontile(this.active, index);
    }
  }

  /** Empty the active layer. */
  clear() {
    for (const index of this.layers.get(this.active).keys()) {
      this.#touch(index).fill(0);
      this.ontile(this.active, index);
    }
  }

  /** Empty all layers. */
  clearAll() {
    const { active } = this;
    for (const name of this.layers.keys()) {
      this.active = name;
      this.clear();
    }
    this.active = active;
  }

  /** Set rows of bytes from `y` on, each as wide as the mask. */
  setRows(y, rows) {
    for (let r = 0; r * this.width < rows.length; r += 1) {
      for (let c = 0; c < this.columns; c += 1) {
        const from = r * this.width + c * TILE;
        const part = rows.subarray(from, r * this.width + Math.min(this.width, (c + 1) * TILE));
        const index = Math.floor((y + r) / TILE) * this.columns + c;
        if (!this.layers.get(this.active).has(index) && part.every((v) => v === 0)) continue;
        this.#touch(index).set(part, ((y + r) % TILE) * TILE);
        this.ontile(this.active, index);
      }
    }
  }

  /** What can be kept in the browser's store. */
  pack() {
    return { width: this.width, height: this.height, active: this.active, layers: [...this.layers].map(([n, t]) => [n, [...t]]) };
  }

  /** Take over what was kept; returns false where it is of another size. */
  unpack(kept) {
    if (!kept || kept.width !== this.width || kept.height !== this.height) return false;
    this.layers = new Map(kept.layers.map(([name, tiles]) => [name, new Map(tiles)]));
    this.use(kept.active);
    return true;
  }
}

/**
 * Pixels like the one at a place and connected with it, in RGBA samples: a byte per pixel, 1 = chosen.
 *
 * Alike means that no channel differs by more than the tolerance, of 255.
 */
export function alike(samples, width, height, x, y, tolerance) {
  const chosen = new Uint8Array(width * height);
  const at = (y * width + x) * 4;
  const [r, g, b] = [samples[at], samples[at + 1], samples[at + 2]];
  const fits = (i) => !chosen[i] && Math.abs(samples[4 * i] - r) <= tolerance
    && Math.abs(samples[4 * i + 1] - g) <= tolerance && Math.abs(samples[4 * i + 2] - b) <= tolerance;
  const waiting = [y * width + x];
  while (waiting.length) {
    let i = waiting.pop();
    if (!fits(i)) continue;
    const row = i - (i % width);
    while (i > row && fits(i - 1)) i -= 1;
    let above = false;
    let below = false;
    for (; i < row + width && fits(i); i += 1) {
      chosen[i] = 1;
      const up = i >= width && fits(i - width);
      const down = i + width < chosen.length && fits(i + width);
      if (up && !above) waiting.push(i - width);
      if (down && !below) waiting.push(i + width);
      above = up;
      below = down;
    }
  }
  return chosen;
}

// -- files ------------------------------------------------------------------------------------------------------------

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k += 1) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function chunk(type, data) {
  const out = new Uint8Array(12 + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i += 1) out[4 + i] = type.charCodeAt(i);
  out.set(data, 8);
  let crc = 0xffffffff;
  for (let i = 4; i < 8 + data.length; i += 1) crc = CRC[(crc ^ out[i]) & 255] ^ (crc >>> 8);
  view.setUint32(8 + data.length, (crc ^ 0xffffffff) >>> 0);
  return out;
}

/**
 * Write grey rows as an 8-bit PNG. A canvas would make colour of it, and has no room for 100 megapixels.
 *
 * @param {number} width
 * @param {number} height
 * @param {(y: number) => Uint8Array} row
 * @returns {Promise<Blob>}
 */
export async function encodePng(width, height, row) {
  const packer = new CompressionStream("deflate");
  const writer = packer.writable.getWriter();
  const packed = new Response(packer.readable).arrayBuffer();
  for (let y = 0; y < height; y += 64) {
    const count = Math.min(64, height - y);
    const band = new Uint8Array(count * (width + 1));
    for (let i = 0; i < count; i += 1) band.set(row(y + i), i * (width + 1) + 1);
    await writer.write(band);
  }
  await writer.close();
  const head = new Uint8Array(13);
  new DataView(head.buffer).setUint32(0, width);
  new DataView(head.buffer).setUint32(4, height);
  head.set([8, 0, 0, 0, 0], 8);
  const data = new Uint8Array(await packed);
  const parts = [Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10), chunk("IHDR", head)];
  for (let i = 0; i < data.length; i += 1 << 24) parts.push(chunk("IDAT", data.subarray(i, i + (1 << 24))));
  parts.push(chunk("IEND", new Uint8Array(0)));
  return new Blob(parts, { type: "image/png" });
}

/**
 * Read a picture file into the active layer, as one step for undo; its red channel counts, as in a grey picture.
 *
 * @throws {RangeError} where its size is not the mask's
 */
export async function loadInto(mask, blob) {
  const picture = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  if (picture.width !== mask.width || picture.height !== mask.height) {
    throw new RangeError(
      `The mask is ${picture.width} × ${picture.height} pixels, the picture ${mask.width} × ${mask.height}; they must be of one size.`,
    );
  }
  const band = new OffscreenCanvas(mask.width, Math.min(TILE, mask.height));
  const context = band.getContext("2d", { willReadFrequently: true });
  mask.begin();
  mask.clear();
  for (let y = 0; y < mask.height; y += TILE) {
    const rows = Math.min(TILE, mask.height - y);
    context.drawImage(picture, 0, y, mask.width, rows, 0, 0, mask.width, rows);
    const samples = context.getImageData(0, 0, mask.width, rows).data;
    const grey = new Uint8Array(mask.width * rows);
    for (let i = 0; i < grey.length; i += 1) grey[i] = samples[4 * i];
    mask.setRows(y, grey);
  }
  mask.commit();
  picture.close();
}
