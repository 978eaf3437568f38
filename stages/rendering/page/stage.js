// One WebGL picture behind all panels; each head is drawn where its panel stands.

const FLOATS_A_VERTEX = 7; // place, normal, distance to the truth
const BACKS_SET_BACK = 3000; // steps of a depth of 24 bits: about 2 mm of a person's head

class Stage {
  constructor(canvas, head) {
    const gl = canvas.getContext("webgl2", { antialias: true, alpha: true, premultipliedAlpha: true });
    if (!gl) throw new Error("this browser shows no WebGL 2, with which the heads are drawn");
    this.gl = gl;
    this.canvas = canvas;
    this.head = head;
    this.program = this.compile(head.lamps.length);
    this.uniforms = {};
    for (let i = 0; i < gl.getProgramParameter(this.program, gl.ACTIVE_UNIFORMS); i++) {
      const { name } = gl.getActiveUniform(this.program, i);
      this.uniforms[name.replace("[0]", "")] = gl.getUniformLocation(this.program, name);
    }
    gl.useProgram(this.program);
    const unit = (v) => v.map((value) => value / Math.hypot(...v));
    gl.uniform3fv(this.uniforms.lampDirection, head.lamps.flatMap((lamp) => unit(lamp.direction)));
    gl.uniform3fv(this.uniforms.lampColour, head.lamps.flatMap((lamp) => lamp.colour));
    gl.uniform2fv(this.uniforms.lampWrapAndGloss, head.lamps.flatMap((lamp) => [lamp.wrap, lamp.gloss]));
    gl.uniform1f(this.uniforms.strongestGloss, head.strongestGloss);
    gl.uniform3fv(this.uniforms.ramp, head.ramp.flat());
    gl.enable(gl.DEPTH_TEST);
    gl.enable(gl.CULL_FACE);
    gl.enable(gl.POLYGON_OFFSET_FILL);
    this.looks = this.staticBuffer(gl.ARRAY_BUFFER, head.looks);
    this.corners = this.staticBuffer(gl.ELEMENT_ARRAY_BUFFER, head.faces);
  }

  compile(numLamps) {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX_SHADER], [gl.FRAGMENT_SHADER, FRAGMENT_SHADER]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source.replaceAll("NUM_LAMPS", numLamps).replaceAll("NUM_COLOURS", this.head.ramp.length));
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
      throw new Error(`the heads' shaders do not run here: ${gl.getProgramInfoLog(program)}`);
    return program;
  }

  staticBuffer(target, values) {
    const buffer = this.gl.createBuffer();
    this.gl.bindVertexArray(null);
    this.gl.bindBuffer(target, buffer);
    this.gl.bufferData(target, values, this.gl.STATIC_DRAW);
    return buffer;
  }

  /** A head's place on the graphics card, to be filled with every frame. */
  addActor(numVertices) {
    const { gl } = this;
    const actor = { array: gl.createVertexArray(), buffer: gl.createBuffer(), values: new Float32Array(FLOATS_A_VERTEX * numVertices) };
    gl.bindVertexArray(actor.array);
    gl.bindBuffer(gl.ARRAY_BUFFER, actor.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, actor.values.byteLength, gl.DYNAMIC_DRAW);
    for (const [location, size, offset] of [[0, 3, 0], [1, 3, 12], [2, 1, 24]]) {
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, size, gl.FLOAT, false, 4 * FLOATS_A_VERTEX, offset);
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, this.looks);
    for (const [location, size, offset] of [[3, 3, 0], [4, 2, 3]]) {
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, size, gl.UNSIGNED_BYTE, true, 8, offset);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.corners);
    gl.bindVertexArray(null);
    return actor;
  }

  removeActor(actor) {
    this.gl.deleteVertexArray(actor.array);
    this.gl.deleteBuffer(actor.buffer);
  }

  fill(actor, points, normals, distances) {
    const { values } = actor;
    for (let v = 0, o = 0; v < distances.length; v++, o += FLOATS_A_VERTEX) {
      for (let c = 0; c < 3; c++) {
        values[o + c] = points[3 * v + c];
        values[o + 3 + c] = normals[3 * v + c];
      }
      values[o + 6] = distances[v];
    }
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, actor.buffer);
    this.gl.bufferSubData(this.gl.ARRAY_BUFFER, 0, values);
  }

  /** Makes the picture as sharp as the screen. */
  fit() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.round(this.canvas.clientWidth * ratio), height = Math.round(this.canvas.clientHeight * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    return ratio;
  }

  /**
   * Draws all heads anew.
   *
   * @param shots [{actor, rectangle: {left, top, width, height} in CSS pixels of the canvas, fullScale}]
   */
  draw(shots, orbit, box) {
    const { gl, uniforms } = this;
    if (gl.isContextLost()) return;
    const ratio = this.fit();
    gl.disable(gl.SCISSOR_TEST);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.enable(gl.SCISSOR_TEST);
    gl.uniform3fv(uniforms.viewer, orbit.towards());
    for (const { actor, rectangle, fullScale } of shots) {
      const [x, y, width, height] = [
        rectangle.left, this.canvas.clientHeight - rectangle.top - rectangle.height, rectangle.width, rectangle.height,
      ].map((value) => Math.round(value * ratio));
      if (width < 1 || height < 1) continue;
      gl.viewport(x, y, width, height);
      gl.scissor(x, y, width, height);
      gl.uniformMatrix4fv(uniforms.toPicture, false, orbit.matrix(box, width / height));
      gl.uniform1f(uniforms.fullScale, fullScale);
      gl.bindVertexArray(actor.array);
      // What is seen from behind, such as the inside of a cheek, stands back a little, so as not to come through the skin.
      for (const [hidden, setBack] of [[gl.FRONT, BACKS_SET_BACK], [gl.BACK, 0]]) {
        gl.cullFace(hidden);
        gl.polygonOffset(0, setBack);
        gl.drawElements(gl.TRIANGLES, this.head.faces.length, gl.UNSIGNED_INT, 0);
      }
    }
    gl.bindVertexArray(null);
  }
}
