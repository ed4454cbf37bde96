"use strict";
// The viewer: every image is in this page as a data: URI; nothing is fetched.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (id) => document.getElementById(id);
  const { rows, columns, pixelMm, sliceCount } = data;
  const EDEMA = 1, EXCLUDED = 2, DISAGREEMENT = 4;
  const state = { slice: data.firstSlice, lesion: -1, mark: null };
  const switches = ["overlay", "bones", "excluded", "probability", "disagreement"];
  const on = (name) => element(name).checked;

  const panes = data.series.map((series, number) => ({
    series, canvas: element(`pane-${number}`),
    level: element(`level-${number}`), width: element(`width-${number}`),
  }));

  // --- pixels: decoded once, kept
  const cache = new Map();
  const scratch = document.createElement("canvas");
  scratch.width = columns; scratch.height = rows;
  const scratchPen = scratch.getContext("2d", { willReadFrequently: true });

  async function pixels(uri) {
    if (!uri) return null;
    if (!cache.has(uri)) {
      cache.set(uri, (async () => {
        const image = new Image();
        image.src = uri;
        await image.decode();
        scratchPen.drawImage(image, 0, 0);
        return scratchPen.getImageData(0, 0, columns, rows).data;
      })());
    }
    return cache.get(uri);
  }

  // --- contours: marching squares through the voxel centres at one half
  const SEGMENTS = [[], [[3, 2]], [[2, 1]], [[3, 1]], [[0, 1]], [[0, 1], [3, 2]], [[0, 2]], [[0, 3]],
    [[0, 3]], [[0, 2]], [[0, 3], [2, 1]], [[0, 1]], [[3, 1]], [[2, 1]], [[3, 2]], []];

  function contour(inside) {
    const path = new Path2D();
    const at = (r, c) => (r >= 0 && c >= 0 && r < rows && c < columns && inside(r * columns + c) ? 1 : 0);
    for (let r = -1; r < rows; r++) {
      for (let c = -1; c < columns; c++) {
        const kind = at(r, c) * 8 + at(r, c + 1) * 4 + at(r + 1, c + 1) * 2 + at(r + 1, c);
        if (kind === 0 || kind === 15) continue;
        const x = c + 0.5, y = r + 0.5;  // top, right, bottom, left middle of the square
        const ends = [[x + 0.5, y], [x + 1, y + 0.5], [x + 0.5, y + 1], [x, y + 0.5]];
        for (const [from, to] of SEGMENTS[kind]) {
          path.moveTo(...ends[from]); path.lineTo(...ends[to]);
        }
      }
    }
    return path;
  }

  function runs(inside) {
    const path = new Path2D();
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < columns; c++) {
        const start = c;
        while (c < columns && inside(r * columns + c)) c++;
        if (c > start) path.rect(start, r, c - start, 1);
      }
    }
    return path;
  }

  const shapes = new Map();
  async function shapesOf(slice) {
    if (!shapes.has(slice)) {
      shapes.set(slice, (async () => {
        const labels = await pixels(data.labels[slice]);
        if (!labels) return null;
        const bones = new Set();
        for (let i = 0; i < labels.length; i += 4) if (labels[i]) bones.add(labels[i]);
        return {
          bones: [...bones].map((bone) => contour((i) => labels[4 * i] === bone)),
          edema: contour((i) => labels[4 * i + 1] & EDEMA),
          excluded: runs((i) => labels[4 * i + 1] & EXCLUDED),
          disagreement: contour((i) => labels[4 * i + 1] & DISAGREEMENT),
        };
      })());
    }
    return shapes.get(slice);
  }

  // --- drawing
  const LEVELS = data.probabilityColours;
  function heat(values) {
    const picture = new ImageData(columns, rows);
    for (let i = 0; i < values.length; i += 4) {
      const p = values[i];
      if (p < 13) continue;  // below 5 % nothing is shown
      const colour = LEVELS[Math.min(Math.floor(p * LEVELS.length / 256), LEVELS.length - 1)];
      picture.data.set([...colour, 60 + p * 0.5], i);
    }
    return picture;
  }

  function paste(pen, picture, width, height) {
    scratchPen.putImageData(picture, 0, 0);
    pen.drawImage(scratch, 0, 0, width, height);
    scratchPen.clearRect(0, 0, columns, rows);
  }

  function grey(values, level, width) {
    const low = level - width / 2, table = new Uint8ClampedArray(256);
    for (let v = 0; v < 256; v++) table[v] = (v - low) * 255 / Math.max(width, 1);
    const picture = new ImageData(columns, rows);
    for (let i = 0; i < values.length; i += 4) {
      const v = table[values[i]];
      picture.data[i] = picture.data[i + 1] = picture.data[i + 2] = v;
      picture.data[i + 3] = 255;
    }
    return picture;
  }

  function fitted(canvas) {
    const width = Math.max(Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)), 1);
    const height = Math.round(width * rows * pixelMm[0] / (columns * pixelMm[1]));
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width; canvas.height = height;
    }
    return [width, height];
  }

  function scaleBar(pen, width, height, unit) {
    const perMm = width / (columns * pixelMm[1]);
    const mm = [100, 50, 20, 10, 5, 2, 1].find((n) => n * perMm <= width / 4) || 1;
    const x = width - 10 * unit, y = height - 10 * unit;
    pen.fillStyle = "#000"; pen.fillRect(x - mm * perMm - unit, y - 2 * unit, mm * perMm + 2 * unit, 5 * unit);
    pen.fillStyle = "#eceff1"; pen.fillRect(x - mm * perMm, y - unit, mm * perMm, 3 * unit);
    pen.font = `${13 * unit}px sans-serif`; pen.textAlign = "right"; pen.textBaseline = "bottom";
    pen.lineWidth = 3 * unit; pen.strokeStyle = "#000"; pen.strokeText(`${mm} mm`, x, y - 4 * unit);
    pen.fillText(`${mm} mm`, x, y - 4 * unit);
  }

  function lines(pen, path, matrix, colour, width, alpha, halo) {
    const scaled = new Path2D();
    scaled.addPath(path, matrix);
    pen.lineJoin = pen.lineCap = "round";
    if (halo) {
      pen.globalAlpha = 0.5 * alpha; pen.strokeStyle = "#000"; pen.lineWidth = width * 2; pen.stroke(scaled);
    }
    pen.globalAlpha = alpha; pen.strokeStyle = colour; pen.lineWidth = width; pen.stroke(scaled);
    pen.globalAlpha = 1;
  }

  function hatching(pen, path, matrix, colour, unit, alpha, width, height) {
    const scaled = new Path2D();
    scaled.addPath(path, matrix);
    pen.save(); pen.clip(scaled);
    pen.globalAlpha = 0.65 * alpha; pen.strokeStyle = colour; pen.lineWidth = 1.3 * unit;
    pen.beginPath();
    for (let x = -height; x < width; x += 8 * unit) { pen.moveTo(x, height); pen.lineTo(x + height, 0); }
    pen.stroke(); pen.restore();
  }

  function marks(pen, found, matrix, unit, width, height) {
    const alpha = Number(element("opacity").value) / 100;
    if (on("excluded")) hatching(pen, found.excluded, matrix, "#e68cbe", unit, alpha, width, height);
    if (on("bones")) for (const path of found.bones) lines(pen, path, matrix, "#56b4e9", unit, 0.6 * alpha);
    if (on("disagreement")) lines(pen, found.disagreement, matrix, "#2fc79b", 1.3 * unit, alpha, true);
    if (on("overlay")) lines(pen, found.edema, matrix, "#ffb000", 1.6 * unit, alpha, true);
  }

  function ring(pen, matrix, unit) {
    const { x, y, radiusMm } = state.mark;
    const radius = Math.max(radiusMm / pixelMm[1] * matrix.a, 9 * unit);
    pen.setLineDash([6 * unit, 5 * unit]); pen.lineWidth = 1.5 * unit; pen.strokeStyle = "#eceff1";
    pen.beginPath(); pen.arc(x * matrix.a, y * matrix.d, radius, 0, 2 * Math.PI); pen.stroke();
    pen.setLineDash([]);
  }

  async function drawPane(pane, slice) {
    const [values, found, heatValues] = await Promise.all([
      pixels(pane.series.images[slice]), shapesOf(slice),
      on("probability") ? pixels(data.probability[slice]) : null]);
    if (slice !== state.slice) return;  // the reader has moved on
    const [width, height] = fitted(pane.canvas);
    const unit = window.devicePixelRatio || 1;
    const pen = pane.canvas.getContext("2d");
    pen.imageSmoothingEnabled = true; pen.imageSmoothingQuality = "high";
    paste(pen, grey(values, Number(pane.level.value), Number(pane.width.value)), width, height);
    const matrix = new DOMMatrix([width / columns, 0, 0, height / rows, 0, 0]);
    if (heatValues) {
      pen.globalAlpha = Number(element("opacity").value) / 100;
      paste(pen, heat(heatValues), width, height);
      pen.globalAlpha = 1;
    }
    if (found) marks(pen, found, matrix, unit, width, height);
    if (state.mark && state.mark.slice === slice) ring(pen, matrix, unit);
    scaleBar(pen, width, height, unit);
    pane.canvas.dataset.slice = String(slice + 1);
  }

  function draw() {
    element("slice").value = String(state.slice + 1);
    element("place").textContent = `Slice ${state.slice + 1} of ${sliceCount}`;
    return Promise.all(panes.map((pane) => drawPane(pane, state.slice)));
  }

  function go(slice) {
    state.slice = Math.min(Math.max(slice, 0), sliceCount - 1);
    return draw();
  }

  // --- lesions
  function show(number, scroll) {
    const lesion = data.candidates[number];
    if (!lesion) return;
    state.lesion = number;
    state.mark = lesion;
    for (const row of document.querySelectorAll("tr[data-lesion]")) {
      row.classList.toggle("current", Number(row.dataset.lesion) === number);
    }
    go(lesion.slice);
    if (scroll) element("viewer").scrollIntoView({ block: "start", behavior: "instant" });
  }

  function stepLesion(step) {
    const count = data.keptCount;
    if (count) show(state.lesion < 0 ? (step > 0 ? 0 : count - 1) : (state.lesion + step + count) % count, false);
  }

  for (const row of document.querySelectorAll("tr[data-lesion]")) {
    row.addEventListener("click", () => show(Number(row.dataset.lesion), true));
  }
  element("next-lesion").addEventListener("click", () => stepLesion(1));
  element("previous-lesion").addEventListener("click", () => stepLesion(-1));
  element("next-lesion").disabled = element("previous-lesion").disabled = data.keptCount === 0;

  // --- controls
  function reset() {
    for (const pane of panes) {
      pane.level.value = String(pane.series.level); pane.width.value = String(pane.series.width);
    }
    element("opacity").value = "100"; state.mark = null; state.lesion = -1;
    for (const row of document.querySelectorAll("tr.current")) row.classList.remove("current");
    draw();
  }
  element("reset").addEventListener("click", reset);
  element("slice").addEventListener("input", (event) => go(Number(event.target.value) - 1));
  for (const name of [...switches, "opacity"]) element(name).addEventListener("input", draw);
  for (const pane of panes) {
    pane.level.addEventListener("input", draw);
    pane.width.addEventListener("input", draw);
    let held = null;
    pane.canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch") return;
      held = [event.clientX, event.clientY, Number(pane.level.value), Number(pane.width.value)];
      pane.canvas.setPointerCapture(event.pointerId);
    });
    pane.canvas.addEventListener("pointermove", (event) => {
      if (!held) return;
      pane.width.value = String(held[3] + (event.clientX - held[0]) * 0.6);
      pane.level.value = String(held[2] - (held[1] - event.clientY) * 0.6);
      draw();
    });
    pane.canvas.addEventListener("pointerup", () => { held = null; });
    pane.canvas.addEventListener("dblclick", reset);
  }

  let turned = 0;
  element("viewer").addEventListener("wheel", (event) => {
    if (event.ctrlKey) return;  // zoom of the page
    event.preventDefault();
    turned += event.deltaMode === 0 ? event.deltaY / 50 : event.deltaY;
    const steps = Math.trunc(turned);
    if (steps) { turned = 0; go(state.slice + Math.sign(steps)); }
  }, { passive: false });

  const moves = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 5, PageUp: -5,
    Home: -sliceCount, End: sliceCount };
  const letters = { e: "overlay", b: "bones", u: "excluded", p: "probability", d: "disagreement" };
  element("viewer").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === "INPUT") return;
    if (event.key in moves) { event.preventDefault(); go(state.slice + moves[event.key]); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const box = letters[event.key] && element(letters[event.key]);
    if (box && !box.disabled) { box.checked = !box.checked; draw(); }
    else if (event.key === "n") stepLesion(1);
    else if (event.key === "N") stepLesion(-1);
    else if (event.key === "r") reset();
  });
  window.addEventListener("resize", draw);
  window.addEventListener("beforeprint", draw);

  element("viewer").focus({ preventScroll: true });
  draw().then(() => { document.documentElement.dataset.ready = "true"; });
})();
