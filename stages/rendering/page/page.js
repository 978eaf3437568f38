// The page: what is shown, and what keys, clicks and fingers do.

const SWATCHES = ["#e69f00", "#3b9ddd", "#00a676", "#d55e00", "#cc6fa8", "#7a6ff0", "#8c8c3a", "#5aa9a0"];
const NARROWEST = 0.6; // width over height of a panel
const byId = (id) => document.getElementById(id);
const dataOf = (id) => JSON.parse(byId(id).textContent);
const sound = byId("sound"), track = byId("track"), panels = byId("panels");

const page = {
  head: null, clip: null, stage: null, orbit: null,
  timeline: new Timeline(byId("lanes"), byId("playhead")),
  shown: new Set(), curves: new Set(),
  still: false, errors: false, fullScale: 1,
  drawnFrame: -1, posesOld: true, pictureOld: true, laneOld: true, numDrawn: 0,
};

async function readHead() {
  const head = dataOf("head");
  head.faces = await unpack(head.faces);
  head.numVertices = head.colours.shape[1];
  const [colours, gloss] = [await unpack(head.colours), await unpack(head.gloss)];
  head.looks = new Uint8Array(8 * head.numVertices); // three colours, two highlights, and padding to whole words
  for (let v = 0; v < head.numVertices; v++) {
    for (let c = 0; c < 3; c++) head.looks[8 * v + c] = colours[c * head.numVertices + v];
    for (let c = 0; c < 2; c++) head.looks[8 * v + 3 + c] = gloss[c * head.numVertices + v];
  }
  head.rig.shapes = await unpackShapes(head.rig.shapes);
  head.rig.joints = await readJoints(head.rig.joints);
  return head;
}

async function openClip(number) {
  const { head, timeline, stage } = page;
  sound.pause();
  const clip = dataOf(`clip-${number}`);
  clip.number = number;
  const axes = await unpackRows(clip.template);
  clip.template = Float32Array.from({ length: 3 * head.numVertices }, (_, i) => axes[i % 3][Math.floor(i / 3)]);
  clip.samples = await unpack(clip.sound);
  clip.duration = clip.numFrames / clip.fps;
  let takes = 0;
  for (const [k, shown] of clip.heads.entries()) {
    shown.moving = await readMoving(shown, head.rig);
    shown.swatch = k === clip.truth ? null : SWATCHES[takes++ % SWATCHES.length];
    shown.points = new Float32Array(3 * head.numVertices);
    shown.stillPoints = new Float32Array(3 * head.numVertices);
    shown.normals = new Float32Array(3 * head.numVertices);
    shown.distances = new Float32Array(head.numVertices);
    shown.actor = stage.addActor(head.numVertices);
  }
  await loadSound(sound, clip.samples, clip.sampleRate);
  sound.playbackRate = Number(byId("speed").value);
  // Not before: until the sound is there, the clip before is drawn.
  for (const shown of page.clip ? page.clip.heads : []) stage.removeActor(shown.actor);
  page.clip = clip;
  page.shown = new Set(clip.heads.keys());
  timeline.setClip({ samples: clip.samples, rate: clip.sampleRate, phones: clip.phones, duration: clip.duration, fps: clip.fps });
  byId("clip-name").textContent = [clip.id, ...clip.facts].join(" · ");
  byId("transcript").textContent = clip.transcript;
  byId("errors").hidden = clip.truth === null;
  byId("now-phone").hidden = !clip.phones.length;
  if (clip.truth === null) page.errors = false;
  track.setAttribute("aria-valuemax", clip.duration.toFixed(2));
  makePanels();
  refresh();
}

function makePanels() {
  panels.replaceChildren();
  byId("chips").replaceChildren();
  for (const [k, shown] of page.clip.heads.entries()) {
    const panel = document.createElement("figure");
    panel.className = "panel";
    panel.setAttribute("aria-label", shown.label);
    panel.innerHTML = `<figcaption><span><i class="swatch"></i></span><span></span></figcaption>`;
    const name = k === page.clip.truth ? "truth" : shown.name;
    panel.style.setProperty("--swatch", shown.swatch || "var(--text)");
    panel.querySelector("span").append(name);
    shown.words = panel.querySelector("span:last-child");
    shown.words.title = `with colours: mean and largest distance to the truth, ${page.head.unit}`;
    shown.words.textContent = shown.label.split(" · ").slice(2).join(" · ");
    shown.panel = panel;
    panels.append(panel);
    const chip = document.createElement("button");
    chip.type = "button";
    chip.innerHTML = `<i class="swatch"></i>`;
    chip.style.setProperty("--swatch", shown.swatch || "var(--text)");
    chip.append(name);
    chip.title = `show or hide${k < 9 ? ` (${k + 1})` : ""}; double click: alone`;
    chip.onclick = () => toggleHead(k);
    chip.ondblclick = () => showAlone(k);
    shown.chip = chip;
    byId("chips").append(chip);
  }
}

function toggleHead(k) {
  if (!page.clip.heads[k]) return;
  if (!page.shown.delete(k)) page.shown.add(k);
  if (!page.shown.size) page.shown.add(k);
  refresh();
}

function showAlone(k) {
  if (!page.clip.heads[k]) return;
  const alone = page.shown.size === 1 && page.shown.has(k);
  page.shown = new Set(alone ? page.clip.heads.keys() : [k]);
  refresh();
}

/** Everything that depends on what is chosen and not on the time. */
function refresh() {
  const { clip, head, timeline } = page;
  for (const [k, shown] of clip.heads.entries()) {
    shown.panel.hidden = !page.shown.has(k);
    shown.chip.setAttribute("aria-pressed", page.shown.has(k));
  }
  timeline.lanes = [...page.curves].sort((a, b) => a - b).map((c) => ({
    name: head.curves[c],
    // The truth's distance to itself says nothing.
    rows: [...page.shown].sort().filter((k) => c !== 1 || k !== clip.truth).map((k) => ({ values: clip.heads[k].moving.curves[c], swatch: clip.heads[k].swatch }))
      .filter(({ values }) => values),
  }));
  byId("still").setAttribute("aria-pressed", page.still);
  byId("errors").setAttribute("aria-pressed", page.errors);
  byId("scale").hidden = !page.errors;
  byId("full").textContent = `${tidy(page.fullScale)} ${head.unit}`;
  if (!page.errors)
    for (const shown of clip.heads) shown.words.textContent = shown.label.split(" · ").slice(2).join(" · ");
  page.posesOld = page.laneOld = true;
  layOut();
}

/** Gives the panels the shape in which the heads are largest. */
function layOut() {
  page.pictureOld = true;
  const { clientWidth: width, clientHeight: height } = byId("stage");
  const shown = page.clip.heads.filter((_, k) => page.shown.has(k));
  const gap = 6;
  let best = { side: 0, columns: 1 };
  for (let columns = 1; columns <= shown.length; columns++) {
    const rows = Math.ceil(shown.length / columns);
    const side = Math.min((width - gap * (columns - 1)) / columns / 0.8, (height - gap * (rows - 1)) / rows);
    if (side > best.side) best = { side, columns };
  }
  const rows = Math.ceil(shown.length / best.columns);
  const panelWidth = (width - gap * (best.columns - 1)) / best.columns;
  const panelHeight = Math.min((height - gap * (rows - 1)) / rows, panelWidth / NARROWEST);
  const above = (height - rows * panelHeight - gap * (rows - 1)) / 2;
  shown.forEach(({ panel }, i) => {
    const row = Math.floor(i / best.columns), column = i % best.columns;
    const missing = Math.max(0, (row + 1) * best.columns - shown.length); // a last row that is not full stands in the middle
    const left = (column + missing / 2) * (panelWidth + gap), top = above + row * (panelHeight + gap);
    panel.style.cssText += `;left:${left}px;top:${top}px;width:${panelWidth}px;height:${panelHeight}px`;
  });
}

function frameAt(time) {
  return Math.max(0, Math.min(page.clip.numFrames - 1, Math.round(time * page.clip.fps)));
}

function pose(frame) {
  const { clip, head, stage } = page;
  const place = (shown, points, still) => placeVertices(points, clip.template, shown.moving, head.rig.joints, frame, still);
  const truth = page.errors ? clip.heads[clip.truth] : null;
  if (truth) place(truth, truth.stillPoints, true);
  for (const k of page.shown) {
    const shown = clip.heads[k];
    place(shown, shown.points, page.still);
    sumNormals(shown.normals, shown.points, head.faces);
    if (truth && shown !== truth) {
      place(shown, shown.stillPoints, true);
      const { mean, largest } = measureDistances(shown.distances, shown.stillPoints, truth.stillPoints, head.millimetres);
      shown.words.textContent = `ø ${mean.toFixed(2)} · max ${largest.toFixed(1)}`;
    }
    stage.fill(shown.actor, shown.points, shown.normals, shown.distances);
  }
}

function tick() {
  requestAnimationFrame(tick);
  const { clip, timeline } = page;
  if (!clip) return;
  const time = Math.min(sound.currentTime, clip.duration);
  const frame = frameAt(time);
  if (frame !== page.drawnFrame || page.posesOld) {
    pose(frame);
    page.drawnFrame = frame;
    page.posesOld = false;
    page.pictureOld = true;
    tellTime(frame);
  }
  if (timeline.follow(time) && !page.scrubbing) page.laneOld = true;
  if (page.laneOld) {
    const before = timeline.canvas.clientHeight;
    timeline.draw();
    page.laneOld = false;
    if (timeline.canvas.clientHeight !== before) layOut();
  }
  if (page.pictureOld) {
    const shots = [...page.shown].map((k) => {
      const { actor, panel } = clip.heads[k];
      const rectangle = { left: panel.offsetLeft, top: panel.offsetTop, width: panel.offsetWidth, height: panel.offsetHeight };
      return { actor, rectangle, fullScale: page.errors && k !== clip.truth ? page.fullScale : 0 };
    });
    page.stage.draw(shots, page.orbit, clip.box);
    page.pictureOld = false;
    page.numDrawn++;
  }
  timeline.movePlayhead(time);
}

function tellTime(frame) {
  const { clip } = page;
  const time = frame / clip.fps;
  const phone = clip.phones.find(([from, to]) => from <= time && time < to);
  const now = byId("now");
  byId("now-phone").textContent = phone && phone[2] !== "SIL" ? phone[2] : "";
  byId("now-time").textContent = `${time.toFixed(2)} s`;
  byId("now-end").textContent = `of ${clip.duration.toFixed(2)} s`;
  byId("now-frame").textContent = `frame ${frame}`;
  track.setAttribute("aria-valuenow", time.toFixed(2));
  track.setAttribute("aria-valuetext", `${time.toFixed(2)} seconds, frame ${frame}${phone ? `, phone ${phone[2]}` : ""}`);
}

function seek(time) {
  sound.currentTime = Math.max(0, Math.min(page.clip.duration, time));
}

function step(numFrames) {
  sound.pause();
  seek((frameAt(sound.currentTime) + numFrames) / page.clip.fps);
}

function playOrPause() {
  if (!sound.paused) return sound.pause();
  return sound.play().catch((error) => notice(`The browser does not play: ${error.message}`));
}

function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = false;
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  page.laneOld = true;
}

function chooseCurves(curves) {
  page.curves = new Set(curves);
  for (const box of byId("curves").querySelectorAll("input[type=checkbox]")) box.checked = page.curves.has(Number(box.value));
  refresh();
}

function setScale(power) {
  const { head } = page;
  const usual = 0.02 * head.size * head.millimetres;
  const digit = 10 ** Math.floor(Math.log10(usual));
  page.fullScale = Math.round(usual / digit) * digit * 2 ** power;
}

function changeSpeed(places) {
  const speed = byId("speed");
  speed.selectedIndex = Math.max(0, Math.min(speed.options.length - 1, speed.selectedIndex + places));
  sound.playbackRate = Number(speed.value);
}

function zoomTime(factor) {
  page.timeline.zoom(factor, sound.currentTime);
  page.laneOld = true;
}

function walk(right, down, nearer = 1) {
  page.orbit.turn(right, down);
  page.orbit.magnify(nearer);
  page.pictureOld = true;
}

const flip = {
  still: () => { page.still = !page.still; refresh(); },
  errors: () => { if (page.clip.truth !== null) { page.errors = !page.errors; refresh(); } },
  theme: () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
  loop: () => { sound.loop = !sound.loop; byId("loop").setAttribute("aria-pressed", sound.loop); },
  mute: () => { sound.muted = !sound.muted; byId("mute").setAttribute("aria-pressed", sound.muted); },
  help: () => byId("keys").showModal(),
  front: () => { page.orbit.reset(); page.pictureOld = true; },
  curves: () => { byId("curves").open = !byId("curves").open; },
};

const KEYS = {
  " ": playOrPause, ArrowLeft: (e) => (e.shiftKey ? seek(sound.currentTime - 1) : step(-1)),
  ArrowRight: (e) => (e.shiftKey ? seek(sound.currentTime + 1) : step(1)),
  Home: () => seek(0), End: () => seek((page.clip.numFrames - 1) / page.clip.fps),
  e: flip.errors, h: flip.still, t: flip.theme, l: flip.loop, m: flip.mute, c: flip.curves, "?": flip.help, r: flip.front,
  w: () => walk(0, 0.1), s: () => walk(0, -0.1), a: () => walk(0.1, 0), d: () => walk(-0.1, 0),
  "+": () => walk(0, 0, 1.1), "=": () => walk(0, 0, 1.1), "-": () => walk(0, 0, 1 / 1.1),
  x: () => zoomTime(1 / 1.5), z: () => zoomTime(1.5), ",": () => changeSpeed(-1), ".": () => changeSpeed(1),
  0: () => { page.shown = new Set(page.clip.heads.keys()); refresh(); },
};

function onKey(event) {
  if (!page.clip || event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  if (event.target.matches("input[type=search]")) return;
  const busy = event.target.closest("select, input, summary");
  const pressing = event.target.closest("button") && (event.key === " " || event.key === "Enter");
  if (pressing || (busy && !/^[a-z]$/i.test(event.key))) return;
  const digit = /^Digit([1-9])$/.exec(event.code);
  const action = digit
    ? () => (event.shiftKey ? showAlone(digit[1] - 1) : toggleHead(digit[1] - 1))
    : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!action) return;
  event.preventDefault();
  action(event);
}

/** Calls `moved` with what one or two fingers, or the mouse, do on an element. */
function onDrag(element, { pressed, moved, pinched, released = () => {} }) {
  const fingers = new Map();
  const spread = () => { const [a, b] = [...fingers.values()]; return Math.hypot(a.x - b.x, a.y - b.y); };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    element.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (pressed && fingers.size === 1) pressed(event);
  });
  element.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const apart = fingers.size === 2 ? spread() : 0;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (fingers.size === 2) pinched(spread() / Math.max(apart, 1), event);
    else moved(event.clientX - before.x, event.clientY - before.y, event);
  });
  for (const end of ["pointerup", "pointercancel"])
    element.addEventListener(end, (event) => { fingers.delete(event.pointerId); if (!fingers.size) released(); });
}

function connect() {
  document.addEventListener("keydown", onKey);
  // A button that was clicked gives the keys back to the page; one that was reached by keys keeps them.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button && event.detail > 0) button.blur();
    if (!event.target.closest("#curves")) byId("curves").open = false;
  });
  const clicks = {
    play: playOrPause, back: () => step(-1), on: () => step(1), nearer: () => zoomTime(1 / 1.5), wider: () => zoomTime(1.5),
    still: flip.still, errors: flip.errors, theme: flip.theme, loop: flip.loop, mute: flip.mute, help: flip.help,
  };
  for (const [id, action] of Object.entries(clicks)) byId(id).addEventListener("click", action);
  byId("speed").addEventListener("change", () => changeSpeed(0));
  byId("clips").addEventListener("change", (event) => openClip(Number(event.target.value)).catch(fail));
  byId("scale-slider").addEventListener("input", (event) => { setScale(Number(event.target.value)); refresh(); });
  for (const [name, sign, label] of [["play", "❚❚", "Pause"], ["pause", "▶", "Play"]])
    sound.addEventListener(name, () => { byId("play").textContent = sign; byId("play").setAttribute("aria-label", label); });
  const timeOf = (event) => page.timeline.timeAt(event.clientX - track.getBoundingClientRect().left);
  onDrag(track, {
    pressed: (event) => { page.scrubbing = true; seek(timeOf(event)); },
    moved: (right, down, event) => seek(timeOf(event)),
    pinched: (factor, event) => { page.timeline.zoom(1 / factor, timeOf(event)); page.laneOld = true; },
    released: () => { page.scrubbing = false; },
  });
  track.addEventListener("wheel", (event) => {
    const list = byId("timeline"); // with more lanes than there is room for, a plain wheel runs through them
    if (list.scrollHeight > list.clientHeight && !event.ctrlKey && Math.abs(event.deltaY) > Math.abs(event.deltaX)) return;
    event.preventDefault();
    const { timeline } = page;
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const span = timeline.end - timeline.start;
      timeline.show(timeline.start + (event.deltaX / track.clientWidth) * span, span);
    } else timeline.zoom(Math.exp(event.deltaY / 400), timeOf(event));
    page.laneOld = true;
  }, { passive: false });
  const quarter = () => Math.PI / Math.max(200, byId("stage").clientHeight);
  onDrag(panels, {
    moved: (right, down) => walk(right * quarter(), down * quarter()),
    pinched: (factor) => walk(0, 0, factor),
  });
  panels.addEventListener("wheel", (event) => { event.preventDefault(); walk(0, 0, Math.exp(-event.deltaY / 500)); }, { passive: false });
  panels.addEventListener("dblclick", flip.front);
  new ResizeObserver(() => { if (page.clip) { layOut(); page.laneOld = true; } }).observe(byId("stage"));
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));
  setTheme(dark.matches ? "dark" : "light");
}

function listCurves() {
  const list = byId("curves").querySelector("div");
  const wanted = Object.assign(document.createElement("input"), { type: "search", placeholder: "find" });
  wanted.setAttribute("aria-label", "Find a curve");
  wanted.oninput = () => {
    for (const label of list.querySelectorAll("label"))
      label.hidden = !label.textContent.toLowerCase().includes(wanted.value.trim().toLowerCase());
  };
  list.append(wanted);
  for (const [c, name] of page.head.curves.entries()) {
    const label = document.createElement("label");
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: c });
    box.onchange = () => chooseCurves(box.checked ? [...page.curves, c] : [...page.curves].filter((other) => other !== c));
    label.append(box, ` ${name}`);
    list.append(label);
  }
}

function listClips() {
  const { clips } = page.head;
  byId("clips").hidden = clips.length < 2;
  byId("clip-name").hidden = clips.length > 1;
  for (const [k, { id, transcript }] of clips.entries())
    byId("clips").append(new Option(transcript ? `${id} · ${transcript.slice(0, 60)}` : id, k));
}

function fail(error) {
  notice(error.message);
  throw error;
}

async function start() {
  if (typeof DecompressionStream === "undefined") throw new Error("this browser is too old for this page; one of 2023 or later shows it");
  page.head = await readHead();
  const canvas = byId("picture");
  page.stage = new Stage(canvas, page.head);
  page.orbit = new Orbit(page.head.fieldOfView, page.head.margin);
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => {
    page.stage = new Stage(canvas, page.head);
    for (const shown of page.clip.heads) shown.actor = page.stage.addActor(page.head.numVertices);
    page.posesOld = true;
  });
  byId("bar").style.background = `linear-gradient(to right, ${page.head.ramp.map((rgb) => `rgb(${rgb.map((c) => 255 * c)})`).join(",")})`;
  setScale(0);
  connect();
  listClips();
  listCurves();
  await openClip(0);
  const narrow = window.innerWidth < 640 || window.innerHeight < 640;
  chooseCurves([...Array(narrow ? 1 : page.head.numDerivedCurves).keys()]);
  requestAnimationFrame(tick);
}

start().catch(fail);
