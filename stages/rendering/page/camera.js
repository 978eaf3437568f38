// A camera that walks round the head. Matrices are column by column, as WebGL takes them.

class Orbit {
  constructor(fieldOfView, margin) {
    this.fieldOfView = fieldOfView;
    this.margin = margin;
    this.reset();
  }

  reset() {
    this.yaw = 0;
    this.pitch = 0;
    this.zoom = 1;
  }

  turn(right, down) {
    this.yaw -= right;
    this.pitch = Math.min(1.4, Math.max(-1.4, this.pitch + down));
  }

  magnify(factor) {
    this.zoom = Math.min(8, Math.max(0.4, this.zoom * factor));
  }

  /** Unit vector from the head to the viewer. */
  towards() {
    return [Math.sin(this.yaw) * Math.cos(this.pitch), Math.sin(this.pitch), Math.cos(this.yaw) * Math.cos(this.pitch)];
  }

  /** The matrix that takes the world to a picture of `aspect`, framing a box as films do. */
  matrix(box, aspect) {
    const [low, high] = box;
    const size = low.map((value, i) => high[i] - value);
    const centre = low.map((value, i) => (value + high[i]) / 2);
    const halfBox = (size[1] / 2) * (1 + this.margin);
    const halfHeight = Math.max(halfBox, ((size[0] / aspect) / 2) * (1 + this.margin));
    const tangent = Math.tan(this.fieldOfView / 2);
    const distance = halfHeight / tangent + size[2] / 4;
    const near = distance / 20, far = distance * 4;
    const [bx, by, bz] = this.towards();
    const flat = Math.hypot(bx, bz);
    const [rx, ry, rz] = [bz / flat, 0, -bx / flat];
    const [ux, uy, uz] = [by * rz - bz * ry, bz * rx - bx * rz, bx * ry - by * rx];
    const along = (x, y, z) => x * centre[0] + y * centre[1] + z * centre[2];
    // Magnified by the lens and not by going near, so that a nose keeps its size.
    const sy = this.zoom / tangent, sx = sy / aspect;
    // In a picture higher than the head needs, it stands at the bottom: a neck that ends in the air looks cut off.
    const down = 1 - halfBox / halfHeight;
    const a = -(far + near) / (far - near), b = (-2 * far * near) / (far - near);
    const rows = [
      [sx * rx, sx * ry, sx * rz, -sx * along(rx, ry, rz)],
      [sy * ux, sy * uy, sy * uz, -sy * along(ux, uy, uz)],
      [a * bx, a * by, a * bz, a * (-along(bx, by, bz) - distance) + b],
      [-bx, -by, -bz, along(bx, by, bz) + distance],
    ];
    rows[1] = rows[1].map((value, i) => value - down * rows[3][i]);
    return Float32Array.from({ length: 16 }, (_, i) => rows[i % 4][Math.floor(i / 4)]);
  }
}
