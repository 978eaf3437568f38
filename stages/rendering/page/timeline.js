// One axis of time: phones, the waveform, and a lane for each chosen curve with a line for each head.

const PHONES_HEIGHT = 20, WAVE_HEIGHT = 44, TICKS_HEIGHT = 16, LANE_HEIGHT = 46, LANE_GAP = 3;
const LEAST_SPAN_S = 0.4;

class Timeline {
  constructor(canvas, playhead) {
    this.canvas = canvas;
    this.playhead = playhead;
    this.lanes = [];
  }

  setClip({ samples, rate, phones, duration, fps }) {
    Object.assign(this, { samples, rate, phones, duration, fps, start: 0, end: duration });
  }

  get height() {
    return (this.phones.length ? PHONES_HEIGHT : 0) + WAVE_HEIGHT + TICKS_HEIGHT + this.lanes.length * (LANE_HEIGHT + LANE_GAP);
  }

  timeAt(x) {
    return this.start + (x / this.canvas.clientWidth) * (this.end - this.start);
  }

  placeOf(time) {
    return ((time - this.start) / (this.end - this.start)) * this.canvas.clientWidth;
  }

  /** Shows a span `factor` times as long, with what is under `time` staying where it is. */
  zoom(factor, time) {
    const span = Math.min(this.duration, Math.max(LEAST_SPAN_S, (this.end - this.start) * factor));
    const share = (time - this.start) / (this.end - this.start);
    this.show(time - share * span, span);
  }

  show(start, span) {
    this.start = Math.max(0, Math.min(this.duration - span, start));
    this.end = this.start + span;
  }

  /** Turns the page when the time leaves what is shown; says whether it did. */
  follow(time) {
    const span = this.end - this.start;
    if (span >= this.duration || (time >= this.start && time <= this.end)) return false;
    this.show(time < this.start ? time - 0.9 * span : time - 0.1 * span, span);
    return true;
  }

  movePlayhead(time) {
    this.playhead.style.transform = `translateX(${this.placeOf(time)}px)`;
  }

  draw() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.style.height = `${this.height}px`;
    const width = this.canvas.clientWidth;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    let top = 0;
    if (this.phones.length) {
      this.drawPhones(pen, colour, width);
      top += PHONES_HEIGHT;
    }
    this.drawWave(pen, colour, width, top);
    top += WAVE_HEIGHT;
    this.drawTicks(pen, colour, width, top);
    top += TICKS_HEIGHT;
    for (const lane of this.lanes) {
      this.drawLane(pen, colour, width, top, lane);
      top += LANE_HEIGHT + LANE_GAP;
    }
  }

  drawPhones(pen, colour, width) {
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    for (const [from, to, label] of this.phones) {
      const left = this.placeOf(from), right = this.placeOf(to);
      if (right < 0 || left > width) continue;
      const silent = label === "SIL";
      pen.fillStyle = colour(silent ? "lane" : "closed");
      pen.fillRect(left, 0, Math.max(1, right - left - 1), PHONES_HEIGHT - 2);
      if (!silent && pen.measureText(label).width < right - left - 1) {
        pen.fillStyle = colour("text");
        pen.fillText(label, (left + right) / 2, PHONES_HEIGHT / 2 - 0.5);
      }
    }
  }

  drawWave(pen, colour, width, top) {
    const middle = top + WAVE_HEIGHT / 2;
    pen.fillStyle = colour("lane");
    pen.fillRect(0, top, width, WAVE_HEIGHT);
    pen.fillStyle = colour("wave");
    const outline = outlineOf(this.samples, this.rate, this.start, this.end, Math.ceil(width));
    let loudest = 0.02;
    for (let i = 0; i < this.samples.length; i += 7) loudest = Math.max(loudest, Math.abs(this.samples[i]) / 32768);
    const scale = (0.48 * WAVE_HEIGHT) / loudest;
    for (let i = 0; i < width; i++) {
      const up = outline[2 * i + 1] * scale, down = -outline[2 * i] * scale;
      pen.fillRect(i, middle - up, 1, Math.max(1, up + down));
    }
  }

  drawTicks(pen, colour, width, top) {
    const enough = (70 / width) * (this.end - this.start);
    const step = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300].find((s) => s >= enough) || 600;
    pen.font = "10px system-ui, sans-serif";
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillStyle = colour("quiet");
    for (let time = Math.ceil(this.start / step) * step; time < this.end; time += step) {
      const x = this.placeOf(time);
      pen.fillRect(x, top, 1, 4);
      pen.fillText(`${time.toFixed(step < 0.1 ? 2 : step < 1 ? 1 : 0)} s`, x + 3, top + TICKS_HEIGHT / 2);
    }
  }

  drawLane(pen, colour, width, top, { name, rows }) {
    pen.fillStyle = colour("lane");
    pen.fillRect(0, top, width, LANE_HEIGHT);
    let low = Infinity, high = -Infinity;
    for (const { values } of rows) for (const value of values) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    if (!rows.length) [low, high] = [0, 1];
    const span = Math.max(high - low, 1e-6);
    const y = (value) => top + LANE_HEIGHT - 3 - ((value - low) / span) * (LANE_HEIGHT - 6);
    pen.lineWidth = 1.3;
    pen.lineJoin = "round";
    for (const { values, swatch } of rows) {
      pen.strokeStyle = swatch || colour("text");
      pen.beginPath();
      const first = Math.max(0, Math.floor(this.start * this.fps) - 1);
      const last = Math.min(values.length - 1, Math.ceil(this.end * this.fps) + 1);
      for (let t = first; t <= last; t++) pen.lineTo(this.placeOf(t / this.fps), y(values[t]));
      pen.stroke();
    }
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "top";
    const label = (text, x, where, align) => {
      pen.textAlign = align;
      pen.lineWidth = 3;
      pen.strokeStyle = colour("lane");
      pen.strokeText(text, x, where);
      pen.fillStyle = colour("quiet");
      pen.fillText(text, x, where);
    };
    label(name, 4, top + 2, "left");
    label(tidy(high), width - 4, top + 2, "right");
    label(tidy(low), width - 4, top + LANE_HEIGHT - 13, "right");
  }
}

/** Three digits. */
function tidy(value) {
  return Math.abs(value) < 5e-4 ? "0" : String(Number(value.toPrecision(3)));
}
