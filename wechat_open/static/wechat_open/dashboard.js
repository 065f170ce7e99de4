/* The dashboard in a browser: it draws the charts, and keeps what is shown up to date without moving
   anything under the reader. All that is read is in the page already: without this file only the plots are missing. */

(function () {
  "use strict";

  const root = document.getElementById("wod");
  const live = document.getElementById("wod-live");
  const clock = document.getElementById("wod-clock");
  const button = document.getElementById("wod-pause");
  const announcer = document.getElementById("wod-announcer");
  const EVERY = Number(root.dataset.seconds) * 1000;

  // -- plots: panels of bars above one another, with one time (or span) below -----------------------------------------

  const charts = new Map();
  let plots = [];
  const numbers = new Intl.NumberFormat(document.documentElement.lang);

  function colour(name) {
    return getComputedStyle(root).getPropertyValue(name).trim();
  }

  /* Failures are hatched, so that they are recognisable without colour. */
  function hatched(ink) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 6;
    const pen = tile.getContext("2d");
    pen.strokeStyle = ink;
    pen.lineWidth = 2;
    pen.beginPath();
    for (const shift of [-6, 0, 6]) {
      pen.moveTo(shift - 1, 7);
      pen.lineTo(shift + 7, -1);
    }
    pen.stroke();
    return pen.createPattern(tile, "repeat");
  }

  /* The uppermost number of a lower panel would lie on the lowest of the panel above. */
  function belowTheTop(value, place, ticks) {
    return place === ticks.length - 1 ? "" : numbers.format(value);
  }

  /* Where there is little room, days and noons are enough. A time below the last hours would be cut off. */
  function below(_, place) {
    const labels = this.chart.config.data.ticks;
    const isCut = this.isHorizontal() && place > labels.length - 4;
    return isCut || (this.chart.width < 420 && /^(06|18):/.test(labels[place])) ? "" : labels[place];
  }

  /* By the hour, bars stand side by side with the hours below; otherwise they lie under one another with their names. */
  function configuration(plot) {
    const ink = colour("--body-quiet-color");
    const line = colour("--hairline-color");
    const font = { family: getComputedStyle(root).fontFamily, size: 11 };
    const good = colour("--wod-plot");
    const growing = colour("--wod-plot-unfinished");
    const bad = colour("--wod-red");
    const pattern = hatched(bad);
    const last = plot.labels.length - 1;
    const names = plot.by_hour ? "x" : "y";
    const scales = {
      [names]: {
        grid: { display: false },
        border: { color: line },
        ticks: { color: ink, font, autoSkip: false, maxRotation: 0, callback: below },
      },
    };
    const datasets = plot.panels.map(function (panel, number) {
      const wrong = new Set(panel.hatched);
      const axis = (plot.by_hour ? "y" : "x") + number;
      scales[axis] = {
        axis: plot.by_hour ? "y" : "x",
        position: plot.by_hour ? "left" : "bottom",
        beginAtZero: true,
        suggestedMax: 4,
        grid: { color: line },
        border: { display: false },
        ticks: { color: ink, font, precision: 0, maxRotation: 0, maxTicksLimit: number ? 3 : 5, callback: plot.by_hour && number ? belowTheTop : (value) => numbers.format(value) },
      };
      if (plot.panels.length > 1) {
        Object.assign(scales[axis], {
          stack: "panels",
          stackWeight: number ? 2 : 3,
          weight: plot.panels.length - number, // the first panel stands on top
          title: { display: true, text: panel.label, color: ink, font },
        });
      }
      return {
        label: panel.label,
        data: panel.values.map((value) => value || null), // nothing is no bar, and one among thousands can be seen
        [axis[0] + "AxisID"]: axis,
        minBarLength: 3,
        backgroundColor: panel.values.map(function (_, place) {
          return wrong.has(place) ? pattern : plot.by_hour && place === last ? growing : good;
        }),
        borderColor: bad,
        borderWidth: panel.values.map((_, place) => (wrong.has(place) ? 1 : 0)),
        grouped: false,
        barPercentage: 0.8,
        categoryPercentage: 1,
      };
    });
    return {
      type: "bar",
      data: { labels: plot.exact, ticks: plot.labels, datasets },
      options: {
        indexAxis: names,
        animation: false,
        responsive: true,
        maintainAspectRatio: false,
        interaction: { mode: "index", axis: names, intersect: false },
        plugins: {
          legend: { display: false },
          tooltip: {
            animation: false,
            displayColors: false,
            callbacks: {
              label(item) {
                const own = item.chart.tooltip.dataPoints;
                if (own && own[0].datasetIndex !== item.datasetIndex) {
                  return [];
                }
                return plot.panels.map((panel) => panel.label + ": " + numbers.format(panel.values[item.dataIndex]));
              },
            },
          },
        },
        scales,
      },
    };
  }

  function redraw() {
    for (const plot of plots) {
      const frame = document.querySelector('[data-plot="' + plot.name + '"]');
      if (!frame || !window.Chart) {
        continue;
      }
      frame.hidden = false;
      const canvas = frame.querySelector("canvas");
      canvas.setAttribute("aria-label", plot.title + ". " + plot.summary);
      const wanted = configuration(plot);
      const chart = charts.get(plot.name);
      if (chart) {
        chart.data = wanted.data;
        chart.options = wanted.options;
        chart.update("none");
      } else {
        charts.set(plot.name, new window.Chart(canvas, wanted));
      }
    }
  }

  // -- what is shown: the old page becomes the new one node by node, so focus, selection and open details stay --------

  /* ``known`` are the old elements by their ids: a tile that moves to another section is still the same tile. */
  function become(old, fresh, known) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) {
        old.data = fresh.data;
      }
      return;
    }
    if (old.hasAttribute("data-plot")) {
      return;
    }
    for (const { name } of Array.from(old.attributes)) {
      if (!fresh.hasAttribute(name) && name !== "open") {
        old.removeAttribute(name);
      }
    }
    for (const { name, value } of Array.from(fresh.attributes)) {
      if (old.getAttribute(name) !== value && name !== "open") {
        old.setAttribute(name, value);
      }
    }
    let place = old.firstChild;
    for (const wanted of Array.from(fresh.childNodes)) {
      let found = wanted.id ? known.get(wanted.id) : place;
      if (!found || found.nodeName !== wanted.nodeName || (found.id && !wanted.id)) {
        found = document.importNode(wanted, Boolean(wanted.dataset && wanted.dataset.plot));
      }
      if (found !== place) {
        old.insertBefore(found, place);
      }
      become(found, wanted, known);
      place = found.nextSibling;
    }
    while (place) {
      const surplus = place;
      place = place.nextSibling;
      surplus.remove();
    }
  }

  /* What begins in view, and where: the first of them that stays among its neighbours keeps its place on the screen. */
  function inView() {
    return Array.from(live.querySelectorAll("[id]"))
      .map((element) => ({ element, parent: element.parentNode, top: element.getBoundingClientRect().top }))
      .filter((seen) => seen.top > -1 && seen.top < window.innerHeight);
  }

  function levels() {
    return new Map(Array.from(live.querySelectorAll("[data-level]"), (tile) => [tile.id, tile]));
  }

  function show(html) {
    const page = new DOMParser().parseFromString(html, "text/html");
    const before = new Map(Array.from(levels(), ([id, tile]) => [id, tile.dataset.level]));
    const focused = document.activeElement;
    const anchors = inView();

    for (const part of [live, document.getElementById("wod-platforms")]) {
      const fresh = part && page.getElementById(part.id);
      if (fresh) {
        become(part, fresh, new Map(Array.from(part.querySelectorAll("[id]"), (element) => [element.id, element])));
      }
    }

    if (focused && focused.isConnected && focused !== document.activeElement) {
      focused.focus({ preventScroll: true }); // its tile has moved
    }
    const anchor = anchors.find((seen) => seen.element.isConnected && seen.element.parentNode === seen.parent);
    if (anchor && window.scrollY > 0) {
      window.scrollBy({ top: anchor.element.getBoundingClientRect().top - anchor.top, behavior: "instant" });
    }
    const news = [];
    for (const [id, tile] of levels()) {
      if (before.get(id) !== tile.dataset.level) {
        news.push(tile.dataset.news);
      }
    }
    if (news.length) {
      announcer.textContent = news.join(" ");
    }
  }

  // -- when: every half minute, while the page is visible and not paused ---------------------------------------------

  let timer = 0;
  let paused = false;
  let refreshed = Date.now();

  function plan(wait) {
    window.clearTimeout(timer);
    timer = 0;
    if (!paused && !document.hidden) {
      timer = window.setTimeout(refresh, wait);
    }
  }

  async function load() {
    const answer = await fetch(root.dataset.url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
    if (!answer.ok || answer.redirected) {
      throw new Error(String(answer.status));
    }
    return answer.json();
  }

  async function refresh() {
    try {
      const news = await load();
      if (paused) {
        return; // meanwhile
      }
      refreshed = Date.now();
      plots = news.plots;
      show(news.html);
      redraw();
      clock.textContent = news.as_of;
      root.classList.remove("wod-stale");
    } catch (error) {
      if (!root.classList.contains("wod-stale")) {
        announcer.textContent = root.dataset.stale;
      }
      root.classList.add("wod-stale");
    }
    plan(EVERY);
  }

  button.hidden = false;
  button.addEventListener("click", function () {
    paused = !paused;
    button.textContent = paused ? button.dataset.resume : button.dataset.pause;
    root.classList.toggle("wod-paused", paused);
    if (paused) {
      plan(EVERY);
    } else {
      refresh();
    }
  });

  document.addEventListener("visibilitychange", function () {
    plan(Math.max(0, EVERY - (Date.now() - refreshed)));
  });

  // -- looks: another theme means other colours, and paper shows the numbers -------------------------------------------

  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  let unfolded = [];
  window.addEventListener("beforeprint", function () {
    unfolded = Array.from(live.querySelectorAll("details:not([open])"));
    unfolded.forEach((details) => { details.open = true; });
  });
  window.addEventListener("afterprint", function () {
    unfolded.forEach((details) => { details.open = false; });
  });

  // The first numbers for the plots; what is read is as old as the page, so it is not touched.
  load().then(function (news) {
    plots = news.plots;
    redraw();
  }).catch(function () {
    root.classList.add("wod-stale");
  });
  plan(EVERY);
})();
