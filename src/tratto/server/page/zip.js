/** Photographs with their cameras as one ZIP file: a capture is sent whole. */

/** Files that hold cameras: nerfstudio's and Blender's, and COLMAP's. */
const CAMERAS = /(^|\/)(transforms(_train)?\.json|cameras\.(bin|txt))$/i;

/** Whether files, each with its path, are a capture. */
export const isCapture = (files) => files.some(({ path }) => CAMERAS.test(path));

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc32(data) {
  let crc = 0xffffffff;
  for (const byte of data) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** Numbers as little-endian bytes: [value, bytes] each. */
function packed(...numbers) {
  const out = [];
  for (const [value, size] of numbers) for (let i = 0; i < size; i += 1) out.push(Math.floor(value / 256 ** i) & 255);
  return Uint8Array.from(out);
}

/**
 * Pack files without compression: photographs do not shrink any more.
 *
 * @param {{file: File, path: string}[]} files
 * @param {(share: number) => void} tell
 * @returns {Promise<Blob>}
 */
export async function zip(files, tell = () => {}) {
  const total = files.reduce((sum, { file }) => sum + file.size, 0);
  if (total > 0xfff00000) throw new Error("The photographs take more than 4 GB together; send smaller ones.");
  const parts = [];
  const directory = [];
  let at = 0;
  let done = 0;
  for (const { file, path } of files) {
    const name = new TextEncoder().encode(path);
    const crc = crc32(new Uint8Array(await file.arrayBuffer()));
    // of 1980; names are UTF-8
    const about = [[20, 2], [0x800, 2], [0, 2], [0, 2], [0x21, 2], [crc, 4], [file.size, 4], [file.size, 4], [name.length, 2], [0, 2]];
    parts.push(packed([0x04034b50, 4], ...about), name, file);
    directory.push(packed([0x02014b50, 4], [20, 2], ...about, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]), name);
    at += 30 + name.length + file.size;
    done += file.size;
    tell(done / total);
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  return new Blob([...parts, ...directory, packed([0x06054b50, 4], [0, 4], [files.length, 2], [files.length, 2], [size, 4], [at, 4], [0, 2])]);
}
