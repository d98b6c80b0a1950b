"use strict";
(async () => {
  const $$ = (id) => document.getElementById(id);
  const say = (text) => { $$("said").textContent = text; };
  const make = (tag, text, kind) => {
    const its = document.createElement(tag);
    if (text !== undefined) its.textContent = text;
    if (kind) its.className = kind;
    return its;
  };
  const count = (number) => number.toLocaleString("en");
  const short = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

  // What is drawn: a header in JSON, and behind it the arrays it names, all compressed.
  const packed = Uint8Array.from(atob($$("data").textContent.trim()), (letter) => letter.charCodeAt(0));
  $$("data").remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const whole = await new Response(stream).arrayBuffer();
  const length = new DataView(whole).getUint32(0, true);
  const its = JSON.parse(new TextDecoder().decode(new Uint8Array(whole, 4, length)));
  const kinds = { f4: Float32Array, i4: Int32Array, u4: Uint32Array, u1: Uint8Array };
  const array = ({ at, kind, size }) => new kinds[kind](whole, 4 + length + at, size);
  const views = its.views.map((view) => ({ ...view, x: array(view.x), y: array(view.y), truth: array(view.truth) }));
  const columns = its.columns.map((column) => ({ ...column, data: array(column.data) }));
  const near = { rows: array(its.near.rows), scores: array(its.near.scores), k: its.near.k };
  const bare = (text) => text.replace(/[[\]]/g, "").toLowerCase(); // brackets only show where a word stands
  const lower = its.texts.map((text, row) => bare(text + "\n" + its.ids[row]));
  const n = its.ids.length;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  let view = 0, colour = its.colour, found = [], place = -1, chosen = -1, plot = null;

  try {
    plot = Scatterplot.default({
      canvas: $$("canvas"), width: "auto", height: "auto", renderPointsAsSquares: n > 30000, aspectRatio: 1, backgroundColor: css("--ground"),
      pointSize: Math.max(1.5, Math.min(9, 500 / Math.sqrt(n))), pointSizeSelected: 2, pointScaleMode: n > 20000 ? "asinh" : "constant", pointOutlineWidth: 1,
      pointColorHover: css("--ink"), lassoColor: css("--mark"), lassoMinDelay: 10, lassoMinDist: 2,
      opacityInactiveMax: 0.5, opacityInactiveScale: 0.35, deselectOnEscape: false, deselectOnDblClick: false,
    });
  } catch (error) {
    $$("wait").textContent = "This browser shows no WebGL, so the map is not drawn; the search works.";
  }

  // Colours: those of numbers, finely graded, behind the one for none.
  const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const between = (one, other, share) => "#" + one.map((part, at) => Math.round(part + (other[at] - part) * share).toString(16).padStart(2, "0")).join("");
  const shades = [its.grey];
  for (let at = 0; at < 255; at += 1) {
    const place = (at / 254) * (its.scale.length - 1), low = Math.min(Math.floor(place), its.scale.length - 2);
    shades.push(between(parts(its.scale[low]), parts(its.scale[low + 1]), place - low));
  }
  const point = () => {
    const column = columns[colour], shown = views[view];
    const scaled = { x: shown.x, y: shown.y, w: Float32Array.from(shown.truth, (share) => share / 255) };
    if (!column) return { points: { ...scaled, z: new Uint8Array(n) }, colours: [its.palette[0], its.palette[0]], kind: "categorical" };
    if (column.values) {
      const last = column.values.length;
      const codes = Array.from(column.data, (code) => (code < 0 ? last : code));
      return { points: { ...scaled, z: codes }, colours: [...column.values.map(([, , at]) => its.palette[at]), its.grey], kind: "categorical" };
    }
    const part = Array.from(column.data, (value) => (Number.isNaN(value) ? 0 : (1 + value * (shades.length - 2)) / (shades.length - 1)));
    return { points: { ...scaled, z: part }, colours: shades, kind: "continuous" };
  };
  let last = Promise.resolve(); // one after the other: nothing may break into a transition
  const inTurn = (act) => (last = last.then(() => plot && act()).catch((error) => console.error(error)));
  const draw = (moving) => inTurn(() => drawNow(moving));
  async function drawNow(moving) {
    const { points, colours, kind } = point();
    const fade = $$("fade").checked;
    plot.set({
      colorBy: "valueA", pointColor: colours, pointColorActive: colours,
      opacityBy: fade ? "valueB" : null, opacity: fade ? its.faded : 0.8,
    });
    await plot.draw(points, { transition: moving && !still, zDataType: kind, wDataType: "continuous", preventFilterReset: true });
    mark();
    write();
  }
  function legend() {
    const column = columns[colour], box = $$("legend");
    box.replaceChildren();
    if (!column) return;
    box.append(make("h2", column.name));
    if (!column.values) {
      const bar = make("div", undefined, "scale");
      bar.style.background = `linear-gradient(to right, ${its.scale.join(",")})`;
      box.append(bar, make("p", `${column.least.toPrecision(4)} to ${column.most.toPrecision(4)}`, "faint"));
      const none = column.shown.filter((value) => value === null).length;
      if (none) box.append(make("p", `Grey: ${count(none)} without a value.`, "faint"));
      return;
    }
    const list = make("ol");
    column.values.forEach(([name, many, at], code) => {
      const button = make("button", undefined);
      const dot = make("span", undefined, "dot");
      dot.style.background = its.palette[at];
      button.append(dot, `${short(name, 60)} (${count(many)})`);
      button.type = "button";
      button.onclick = () => show(Array.from(column.data.keys()).filter((row) => column.data[row] === code), name);
      const line = make("li");
      line.append(button);
      list.append(line);
    });
    box.append(list);
    if (column.values.length > its.palette.length) box.append(make("p", "Values that stand far apart share colours.", "faint"));
    if (column.others) box.append(make("p", `${count(column.others)} rarer values are grey.`, "faint"));
  }

  // Names on the map, as many as find room.
  const names = its.labels.map(([name, rows]) => {
    const span = make("span", short(name, 40));
    span.hidden = true;
    $$("labels").append(span);
    return { span, rows };
  });
  let due = false;
  function write() {
    if (due || !plot) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      const taken = [], wide = $$("map").clientWidth, high = $$("map").clientHeight;
      const spots = names.map(({ rows }) => plot.getScreenPosition(rows[view]));
      names.forEach(({ span }, at) => {
        const [x, y] = spots[at] || [NaN, NaN];
        span.hidden = !(x > 0 && y > 0 && x < wide && y < high);
        if (span.hidden) return;
        span.size ??= [span.offsetWidth, span.offsetHeight];
        const [w, h] = span.size, left = x - w / 2, top = y - h / 2;
        span.hidden = taken.some(([l, t, r, b]) => left < r && left + w > l && top < b && top + h > t);
        if (span.hidden) return;
        taken.push([left, top, left + w, top + h]);
        span.style.transform = `translate(${left}px,${top}px)`;
      });
    });
  }

  // What is found, and what is chosen.
  function entry(row, score) {
    const button = make("button", (score === undefined ? "" : score.toFixed(3) + "  ") + short(its.texts[row] || its.ids[row], 140));
    button.type = "button";
    button.dir = "auto";
    button.onclick = () => choose(row, true);
    button.onmouseenter = () => plot && plot.hover(row, { preventEvent: true });
    const line = make("li");
    line.append(button);
    return line;
  }
  function show(rows, what) {
    found = rows;
    place = -1;
    chosen = -1;
    $$("chosen").hidden = true;
    const box = $$("found");
    box.replaceChildren();
    box.hidden = !rows.length;
    if (rows.length) {
      box.append(make("h2", `${count(rows.length)} points: ${short(what, 60)}`));
      const copy = make("button", "Copy ids"), keep = make("button", "Save ids"), ids = () => rows.map((row) => its.ids[row]).join("\n") + "\n";
      copy.type = keep.type = "button";
      copy.onclick = async () => {
        try { await navigator.clipboard.writeText(ids()); say(`${count(rows.length)} ids copied`); } catch { say("the browser does not allow copying; save them"); }
      };
      keep.onclick = () => {
        const link = make("a");
        link.href = URL.createObjectURL(new Blob([ids()], { type: "text/plain" }));
        link.download = "ids.txt";
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10000);
        say(`${count(rows.length)} ids saved as ids.txt`);
      };
      const list = make("ol");
      rows.slice(0, 100).forEach((row) => list.append(entry(row)));
      box.append(copy, " ", keep, list);
      if (rows.length > 100) box.append(make("p", `and ${count(rows.length - 100)} more`, "faint"));
    }
    mark();
  }
  function mark() {
    if (!plot) return;
    const rows = chosen < 0 ? found : [chosen, ...near.rows.subarray(chosen * near.k, (chosen + 1) * near.k)];
    if (rows.length) plot.select(rows, { preventEvent: true });
    else plot.deselect({ preventEvent: true });
  }
  function choose(row, moving) {
    chosen = row;
    const box = $$("chosen");
    box.replaceChildren(make("h2", its.ids[row]));
    const text = make("p", its.texts[row], "text");
    text.dir = "auto";
    box.append(text);
    for (const column of columns) {
      const value = column.values ? (column.values[column.data[row]] || ["–"])[0] : (column.shown[row] ?? "–");
      box.append(make("p", `${column.name}: ${value}`, "faint"));
    }
    const share = Math.round((100 * views[view].truth[row]) / 255);
    box.append(make("p", `${share} % of its neighbours on this map are neighbours in truth`, "faint"));
    box.append(make("h2", "Nearest in the original space"));
    const list = make("ol");
    for (let at = row * near.k; at < (row + 1) * near.k; at += 1) list.append(entry(near.rows[at], near.scores[at]));
    box.append(list);
    box.hidden = false;
    mark();
    if (plot) plot.hover(row, { preventEvent: true });
    const around = [row, ...near.rows.subarray(row * near.k, (row + 1) * near.k)];
    if (moving) inTurn(() => plot.zoomToPoints(around, { padding: 0.6, transition: !still, transitionDuration: 300 }));
    say(short(its.texts[row] || its.ids[row], 200));
  }
  function leave() {
    $$("search").value = "";
    show([], "");
    say("");
  }
  function search() {
    const asked = bare($$("search").value.trim());
    if (!asked) return leave();
    const rows = [];
    for (let row = 0; row < n; row += 1) if (lower[row].includes(asked)) rows.push(row);
    show(rows, asked);
    say(`${count(rows.length)} of ${count(n)} points have “${asked}”`);
  }
  let pause = 0;
  $$("search").oninput = () => { clearTimeout(pause); pause = setTimeout(search, 120); };
  $$("tools").onsubmit = (event) => { event.preventDefault(); search(); step(1); };

  // Tools.
  columns.forEach((column, at) => $$("colour").append(new Option(column.name, at)));
  $$("colour-label").hidden = !columns.length;
  if (columns.length) $$("colour").value = colour;
  $$("colour").onchange = () => { colour = Number($$("colour").value); legend(); draw(false); };
  views.forEach((one, at) => $$("view").append(new Option(one.name, at)));
  $$("view-label").hidden = views.length < 2;
  $$("view").onchange = () => { view = Number($$("view").value); about(); draw(true); };
  $$("fade").checked = its.fade;
  $$("fade").onchange = () => draw(false);
  $$("home").onclick = () => inTurn(() => plot.zoomToOrigin({ transition: !still, transitionDuration: 300 }));
  const lasso = (on) => { if (plot) plot.set({ mouseMode: on ? "lasso" : "panZoom" }); $$("lasso").setAttribute("aria-pressed", String(on)); };
  $$("lasso").onclick = () => lasso($$("lasso").getAttribute("aria-pressed") !== "true");
  const about = () => { $$("about").textContent = views[view].about; };

  // Keys.
  function step(by) {
    if (!found.length) return;
    place = (place + by + found.length) % found.length;
    choose(found[place], true);
  }
  function move(x, y, zoom) {
    inTurn(() => {
      const [left, top] = plot.get("cameraTarget"), far = plot.get("cameraDistance");
      return plot.zoomToLocation([left + x * far, top + y * far], far * zoom, { transition: false });
    });
  }
  const keys = {
    ArrowLeft: () => move(-0.15, 0, 1), ArrowRight: () => move(0.15, 0, 1), ArrowUp: () => move(0, 0.15, 1), ArrowDown: () => move(0, -0.15, 1),
    "+": () => move(0, 0, 0.8), "=": () => move(0, 0, 0.8), "-": () => move(0, 0, 1.25), 0: () => $$("home").click(),
    n: () => step(1), p: () => step(-1), Escape: () => { lasso(false); leave(); },
  };
  $$("map").addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey && keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });
  addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT)$/.test(event.target.tagName)) { event.preventDefault(); $$("search").focus(); }
    if (event.key === "Escape" && event.target === $$("search")) { leave(); $$("map").focus(); }
  });

  // The map's own events.
  if (plot) {
    plot.subscribe("view", write);
    plot.subscribe("pointover", (row) => {
      const tip = $$("tip"), [x, y] = plot.getScreenPosition(row), column = columns[colour];
      const value = column && column.values && column.values[column.data[row]];
      tip.replaceChildren(make("div", short(its.texts[row] || its.ids[row], 300)));
      if (value) tip.append(make("div", value[0], "faint"));
      tip.dir = "auto";
      tip.hidden = false;
      const left = Math.min(x + 12, $$("map").clientWidth - tip.offsetWidth - 4), top = Math.min(y + 12, $$("map").clientHeight - tip.offsetHeight - 4);
      tip.style.transform = `translate(${Math.max(4, left)}px,${Math.max(4, top)}px)`;
    });
    plot.subscribe("pointout", () => { $$("tip").hidden = true; });
    plot.subscribe("select", ({ points }) => {
      if (points.length === 1) choose(points[0], false);
      else { lasso(false); show(Array.from(points).sort((a, b) => a - b), "inside the lasso"); say(`${count(points.length)} points are inside`); }
    });
    plot.subscribe("deselect", () => { if (chosen >= 0 || found.length) leave(); });
  }
  $$("map").setAttribute("aria-label", `Map of ${count(n)} points`);
  legend();
  about();
  await draw(false);
  if (plot) $$("wait").remove();
  document.documentElement.dataset.ready = "true";
  say(`${count(n)} points`);
})().catch((error) => {
  document.getElementById("wait").textContent = `The map cannot be shown: ${error.message}`;
  console.error(error);
});
