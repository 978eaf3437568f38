// Arrays out of text, as packing.py put them in.

const ARRAY_TYPES = {
  uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array, int32: Int32Array,
};

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** {type, shape, differences, bytes} -> typed array, in the order of its shape. */
async function unpack(packed) {
  const text = atob(packed.bytes);
  const deflated = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) deflated[i] = text.charCodeAt(i);
  const planes = await inflate(deflated);
  const Type = ARRAY_TYPES[packed.type];
  const width = Type.BYTES_PER_ELEMENT;
  const count = planes.length / width;
  const bytes = new Uint8Array(planes.length);
  for (let b = 0; b < width; b++) for (let i = 0; i < count; i++) bytes[i * width + b] = planes[b * count + i];
  const values = new Type(bytes.buffer);
  if (packed.differences) {
    const length = packed.shape[packed.shape.length - 1];
    // A typed array wraps round, as the differences did.
    for (let i = 0; i < count; i++) if (i % length) values[i] += values[i - 1];
  }
  return values;
}

/** Rows of numbers: a Float32Array for each. */
async function unpackRows(packed) {
  const values = await unpack(packed.values);
  const length = packed.values.shape[1];
  return packed.low.map((low, r) => {
    const row = new Float32Array(length);
    for (let i = 0; i < length; i++) row[i] = low + packed.step[r] * values[r * length + i];
    return row;
  });
}

/** Shapes: for each, the vertices that it moves and by how much, {vertices, x, y, z}. */
async function unpackShapes(packed) {
  const values = await unpack(packed.values);
  const [numShapes, , numVertices] = packed.values.shape;
  const shapes = [];
  for (let k = 0; k < numShapes; k++) {
    const [x, y, z] = [0, 1, 2].map((c) => values.subarray((3 * k + c) * numVertices, (3 * k + c + 1) * numVertices));
    const moved = [];
    for (let v = 0; v < numVertices; v++) if (x[v] || y[v] || z[v]) moved.push(v);
    const pick = (axis) => Float32Array.from(moved, (v) => axis[v] * packed.step[k]);
    shapes.push({ vertices: Uint32Array.from(moved), x: pick(x), y: pick(y), z: pick(z) });
  }
  return shapes;
}
