// Draws the plots of a page. Reads the two data elements, asks the network for nothing.
"use strict";
(async () => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 600px)");
  // Told apart by the colour-blind: Okabe and Ito's set, with a shade for each ground.
  const shades = {
    blue: ["#0060a8", "#5aaef0"], orange: ["#c77700", "#f0b040"], green: ["#007a5a", "#3cc49a"],
    red: ["#cc3d00", "#ff7a45"], purple: ["#a4508a", "#e096c8"], sky: ["#3f96c8", "#8fd0f5"],
    grey: ["#7d8795", "#8b95a4"],
  };
  const order = ["blue", "orange", "green", "red", "purple", "sky", "grey"];
  const fonts = "system-ui, sans-serif";
  let printing = false;

  const unpack = async (id) => {
    const text = atob(document.getElementById(id).textContent);
    const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  // Where a value is on its axis, and back. What a logarithmic one cannot show is nowhere.
  const along = (axis, value) => (value === null ? NaN : axis.log ? Math.log10(value) : value);
  const back = (axis, place) => (axis.log ? 10 ** place : place);

  /** The range that shows all values, with some air; in the axis's own terms. */
  const rangeOf = (axis, values) => {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      const place = along(axis, value);
      if (!Number.isFinite(place)) continue;
      low = Math.min(low, place);
      high = Math.max(high, place);
    }
    if (low > high) [low, high] = [0, 1];
    const grounded = axis.from_zero && !axis.log && low >= 0;
    if (grounded) low = 0;
    if (low === high) [low, high] = grounded ? [0, high || 1] : [low - 0.5, high + 0.5];
    const air = (high - low) * 0.03;
    return [grounded ? 0 : low - air, high + air];
  };

  /** What of single marks can be told apart in a view: each is an element of the page, which a
      browser has to move, so marks on the same spot become one. */
  const visible = (plot, series, view) => {
    const shown = { x: [], y: [], hovertext: [] };
    const bars = series.style === "bars";
    const [[left, right], [bottom, top]] = [view.x, view.y];
    const [perPixelX, perPixelY] = [(right - left) / view.width, (top - bottom) / view.height];
    const spots = new Map();
    let last = null;
    const marks = [];
    for (let n = 0; n < series.x.length; n += 1) {
      const x = (along(plot.x, series.x[n]) - left) / perPixelX;
      const y = (along(plot.y, series.y[n]) - bottom) / perPixelY;
      const end = bars ? (along(plot.y, series.upto[n]) - bottom) / perPixelY : y;
      const [low, high] = [Math.min(y, end), Math.max(y, end)];
      // As much again around the view as it is large, for the hand that drags it.
      if (!(x >= -view.width && x <= 2 * view.width && high >= -view.height && low <= 2 * view.height)) continue;
      if (bars) {
        if (last && Math.round(x) === Math.round(last.x) && low <= last.high + 1 && high >= last.low - 1) {
          last.low = Math.min(low, last.low);
          last.high = Math.max(high, last.high);
          last.more += 1;
          continue;
        }
        last = { n, x, low, high, more: 0 };
        marks.push(last);
      } else {
        const spot = Math.floor(x / 3) * 65536 + Math.floor(y / 3);
        const there = spots.get(spot);
        if (there) {
          there.more += 1;
          continue;
        }
        const mark = { n, more: 0 };
        spots.set(spot, mark);
        marks.push(mark);
      }
    }
    for (const { n, low, high, more } of marks) {
      const text = series.hover.length === 0 ? "" : series.hover[n]
        + (more > 0 ? `<br>and ${more} more here: zoom in` : "");
      if (bars) {
        // At least as high as can be seen.
        const middle = (low + high) / 2;
        const half = Math.max(high - low, 2) / 2;
        const at = (pixel) => back(plot.y, bottom + pixel * perPixelY);
        shown.x.push(series.x[n], series.x[n], null);
        shown.y.push(at(middle - half), at(middle + half), null);
        shown.hovertext.push(text, text, "");
      } else {
        shown.x.push(series.x[n]);
        shown.y.push(series.y[n]);
        shown.hovertext.push(text);
      }
    }
    // Without a point it would leave the legend.
    if (marks.length === 0) for (const column of Object.values(shown)) column.push(null);
    return shown;
  };

  const isMarks = (series) => ["bars", "points", "crosses"].includes(series.style);

  const isSmall = () => narrow.matches && !printing;

  // On a small screen a name has no room for more letters in one line of the legend.
  const letters = 40;

  /** A name in lines, broken behind commas and spaces. */
  const inLines = (name) => {
    const lines = [""];
    for (const part of name.split(/(?<=[, ])/)) {
      const line = lines[lines.length - 1];
      if (line !== "" && line.length + part.trimEnd().length > letters) lines.push(part);
      else lines[lines.length - 1] += part;
    }
    return lines.join("<br>");
  };

  const traces = (plot, view) => {
    const shade = dark.matches && !printing ? 1 : 0;
    const taken = new Set(plot.series.map((series) => series.colour));
    const free = order.filter((name) => !taken.has(name));
    let next = 0;
    return plot.series.map((series) => {
      const name = series.colour === "next"
        ? (free.length > 0 ? free : order)[next++ % (free.length || order.length)]
        : series.colour;
      const color = shades[name][shade];
      const trace = {
        type: "scatter", name: isSmall() ? inLines(series.name) : series.name, x: series.x, y: series.y, mode: "lines",
        line: { color, width: 1.6, shape: "linear" }, showlegend: true,
      };
      if (series.hover.length > 0) {
        trace.hovertext = series.hover;
        trace.hoverinfo = "text";
      }
      if (isMarks(series)) {
        const { x, y, hovertext } = visible(plot, series, view);
        Object.assign(trace, { x, y });
        if (series.hover.length > 0) trace.hovertext = hovertext;
      }
      switch (series.style) {
        case "bound":
          trace.line.dash = "dash";
        // falls through
        case "steps":
          trace.line.shape = "hv";
          break;
        case "points":
          trace.mode = "markers";
          trace.marker = { color, size: 4, opacity: 0.7 };
          break;
        case "crosses":
          trace.mode = "markers";
          trace.marker = { color, size: 8, symbol: "x-thin", line: { color, width: 2 } };
          break;
        case "bars":
          trace.line.width = 2.4;
          break;
      }
      return trace;
    });
  };

  const layout = (plot, view) => {
    const night = dark.matches && !printing;
    const ink = night ? "#e6eaf0" : "#1c2330";
    const soft = night ? "#8b95a4" : "#7d8795";
    const rule = night ? "#343d4b" : "#dfe3ea";
    const ground = night ? "#14181f" : "#ffffff";
    const small = isSmall();
    const axis = (scale, range) => ({
      title: { text: scale.label, standoff: 8 }, type: scale.log ? "log" : "linear",
      range: [...range], autorange: false, exponentformat: "SI", minexponent: 3,
      gridcolor: rule, zerolinecolor: rule, linecolor: rule, automargin: true, showline: true,
      // Room between the labels of two axes where they meet.
      ticks: "outside", ticklen: 5, tickcolor: rule,
      nticks: small ? 6 : 10, ...(scale.log ? { dtick: 1 } : {}),
    });
    return {
      font: { family: fonts, size: small ? 12 : 13, color: ink },
      paper_bgcolor: ground, plot_bgcolor: ground,
      xaxis: axis(plot.x, view.x), yaxis: axis(plot.y, view.y),
      margin: { l: small ? 48 : 64, r: small ? 34 : 44, t: 12, b: 48 },
      hovermode: "closest", hoverdistance: 16,
      hoverlabel: {
        align: "left", namelength: -1, bgcolor: night ? "#2a3240" : "#ffffff", bordercolor: ink,
        font: { family: fonts, color: ink, size: small ? 11 : 13 },
      },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", bgcolor: "rgba(0,0,0,0)" },
      dragmode: "zoom",
      modebar: { orientation: "v", bgcolor: "rgba(0,0,0,0)", color: soft, activecolor: ink },
      ...(printing ? { width: 680, autosize: false } : { autosize: true }),
    };
  };

  const config = {
    responsive: true, displaylogo: false, showTips: false, doubleClick: "reset",
    displayModeBar: true, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  /** One plot on the page. */
  class Drawing {
    constructor(element, plot, x) {
      const ends = plot.series.flatMap((series) => [series.y, series.upto]).flat();
      Object.assign(this, { element, plot, whole: { x, y: rangeOf(plot.y, ends) } });
    }

    /** What is shown of it. */
    view() {
      const now = this.element._fullLayout;
      return now
        ? { x: now.xaxis.range, y: now.yaxis.range, width: now.xaxis._length, height: now.yaxis._length }
        : { ...this.whole, width: this.element.clientWidth, height: this.element.clientHeight };
    }

    draw() {
      const view = this.view();
      return Plotly.react(this.element, traces(this.plot, view), layout(this.plot, view), config);
    }

    /** Single marks as the new view tells them apart. */
    async refine() {
      const changes = { x: [], y: [], hovertext: [] };
      const which = [];
      for (const [n, series] of this.plot.series.entries()) {
        if (!isMarks(series)) continue;
        const shown = visible(this.plot, series, this.view());
        for (const key of Object.keys(changes)) changes[key].push(shown[key]);
        which.push(n);
      }
      if (which.length > 0) await Plotly.restyle(this.element, changes, which);
    }
  }

  const root = document.documentElement;
  try {
    const library = document.createElement("script");
    library.textContent = await unpack("library");
    document.head.append(library);
    const plots = JSON.parse(await unpack("data"));
    const elements = document.querySelectorAll(".drawing");
    const drawings = plots.map((plot, n) => {
      const together = plots.filter((other) => other === plot
        || (plot.zooms_with !== "" && other.zooms_with === plot.zooms_with));
      const values = together.flatMap((other) => other.series.flatMap((series) => series.x));
      return new Drawing(elements[n], plot, rangeOf(plot.x, values));
    });

    // One drawing after the other; the page can be scrolled in between.
    let queue = Promise.resolve();
    const later = (work) => {
      root.dataset.plots = "drawing";
      const mine = queue.then(async () => {
        await work();
        await new Promise((resolve) => setTimeout(resolve));
        if (queue === mine) root.dataset.plots = "drawn";
      });
      queue = mine;
      return mine;
    };
    const drawAll = () => drawings.forEach((drawing) => later(() => drawing.draw()));
    drawAll();
    await queue;

    let following = false;
    for (const drawing of drawings) {
      drawing.element.on("plotly_relayout", (change) => {
        const moved = (axis) => Object.keys(change).some((key) => key.startsWith(axis));
        if (following || !(moved("xaxis") || moved("yaxis"))) return;
        const name = drawing.plot.zooms_with;
        const others = moved("xaxis") && name !== ""
          ? drawings.filter((other) => other !== drawing && other.plot.zooms_with === name) : [];
        later(() => drawing.refine());
        for (const other of others) {
          later(async () => {
            following = true;
            await Plotly.relayout(other.element, { "xaxis.range": [...drawing.view().x] });
            following = false;
            await other.refine();
          });
        }
      });
    }
    dark.addEventListener("change", drawAll);
    narrow.addEventListener("change", drawAll);
    // Nothing waits for a promise before a page is printed; drawing begins at once all the same.
    const print = (on) => {
      printing = on;
      drawings.forEach((drawing) => drawing.draw());
    };
    addEventListener("beforeprint", () => print(true));
    addEventListener("afterprint", () => print(false));
  } catch (error) {
    const trouble = document.getElementById("trouble");
    trouble.textContent = `The plots could not be drawn by this browser: ${error.message}`;
    trouble.hidden = false;
    root.dataset.plots = "failed";
    throw error;
  }
})();
