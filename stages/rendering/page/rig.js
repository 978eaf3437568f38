// From weights to vertices and normals: shapes are added, then joints carry vertices along.

/** What moves one head of a clip; rows are Float32Arrays over frames. */
async function readMoving(packed, rig) {
  const rows = await unpackRows(packed.rows);
  const parts = {};
  let start = 0;
  for (const [name, count] of Object.entries(packed.counts)) {
    parts[name] = rows.slice(start, start + count);
    start += count;
  }
  if (!parts.stillWeights.length) parts.stillWeights = parts.weights;
  parts.shapes = packed.shapes ? await unpackShapes(packed.shapes) : rig.shapes;
  return parts;
}

/** Shares (V) of each joint that moves anything. */
async function readJoints(packed) {
  const shares = await unpack(packed);
  const [numJoints, numVertices] = packed.shape;
  return Array.from({ length: numJoints }, (_, j) =>
    Float32Array.from(shares.subarray(j * numVertices, (j + 1) * numVertices), (share) => share / 65535));
}

/**
 * Vertices of a frame, xyz after xyz.
 *
 * @param still whether the head is held still, as the metrics see it.
 */
function placeVertices(out, template, moving, joints, frame, still) {
  out.set(template);
  const weights = still ? moving.stillWeights : moving.weights;
  for (let k = 0; k < weights.length; k++) {
    const w = weights[k][frame];
    if (Math.abs(w) < 1e-6) continue;
    const { vertices, x, y, z } = moving.shapes[k];
    for (let i = 0; i < vertices.length; i++) {
      const o = 3 * vertices[i];
      out[o] += w * x[i];
      out[o + 1] += w * y[i];
      out[o + 2] += w * z[i];
    }
  }
  carry(out, still ? moving.stillTransforms : moving.transforms, joints, frame);
}

/** Moves every vertex by the mean of what its joints do to it. */
function carry(out, transforms, joints, frame) {
  const moves = joints
    .map((shares, j) => ({ shares, m: transforms.slice(12 * j, 12 * j + 12).map((row) => row[frame]) }))
    .filter(({ m }) => m.some((value, i) => Math.abs(value - (i % 5 === 0 ? 1 : 0)) > 1e-6));
  if (!moves.length) return;
  for (let v = 0; v < out.length / 3; v++) {
    const x = out[3 * v], y = out[3 * v + 1], z = out[3 * v + 2];
    for (const { shares, m } of moves) {
      const share = shares[v];
      if (share === 0) continue;
      out[3 * v] += share * (m[0] * x + m[1] * y + m[2] * z + m[3] - x);
      out[3 * v + 1] += share * (m[4] * x + m[5] * y + m[6] * z + m[7] - y);
      out[3 * v + 2] += share * (m[8] * x + m[9] * y + m[10] * z + m[11] - z);
    }
  }
}

/** Sums of the normals of faces around each vertex, weighted by area; of any length. */
function sumNormals(out, points, faces) {
  out.fill(0);
  for (let f = 0; f < faces.length; f += 3) {
    const a = 3 * faces[f], b = 3 * faces[f + 1], c = 3 * faces[f + 2];
    const ux = points[b] - points[a], uy = points[b + 1] - points[a + 1], uz = points[b + 2] - points[a + 2];
    const wx = points[c] - points[a], wy = points[c + 1] - points[a + 1], wz = points[c + 2] - points[a + 2];
    const nx = uy * wz - uz * wy, ny = uz * wx - ux * wz, nz = ux * wy - uy * wx;
    for (const corner of [a, b, c]) {
      out[corner] += nx;
      out[corner + 1] += ny;
      out[corner + 2] += nz;
    }
  }
}

/** Distance of each vertex to where it truly is; returns {mean, largest}. */
function measureDistances(out, points, truth, scale) {
  let sum = 0, largest = 0;
  for (let v = 0; v < out.length; v++) {
    const x = points[3 * v] - truth[3 * v], y = points[3 * v + 1] - truth[3 * v + 1], z = points[3 * v + 2] - truth[3 * v + 2];
    out[v] = scale * Math.sqrt(x * x + y * y + z * z);
    sum += out[v];
    if (out[v] > largest) largest = out[v];
  }
  return { mean: sum / out.length, largest };
}
