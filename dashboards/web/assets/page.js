// What the page does without its server: address, theme, legend under the pointer, live candles, and
// the news of a published build, which the badge (freshness.js) hears within five seconds.
"use strict";

(function () {
  const SCHEME = "mantine-color-scheme-value"; // Mantine's own key
  const { zone, ranges } = document.documentElement.dataset; // app.py
  const same = () => window.dash_clientside.no_update;

  // The badge may have news before Dash has drawn what they are for.
  function setProps(id, props) {
    if (document.getElementById("content")) window.dash_clientside.set_props(id, props);
    else setTimeout(() => setProps(id, props), 100);
  }

  // --- address -----------------------------------------------------------------------------------
  function follow_link(search) {
    const asked = new URLSearchParams(search || "");
    const symbol = asked.get("symbol");
    const range = (asked.get("range") || "").toUpperCase();
    const view = asked.get("view");
    return [
      { symbol: symbol === null ? null : symbol.toUpperCase() },
      symbol === null ? same() : symbol.toUpperCase(),
      ranges.split(" ").includes(range) ? range : same(),
      view === "health" || view === "market" ? view : same(),
    ];
  }

  function write_link(symbol, range, view) {
    if (!symbol) return same();
    const here = new URLSearchParams({ symbol, range, view }).toString();
    if (window.location.search.slice(1) !== here) {
      window.history.replaceState(null, "", `?${here}`);
    }
    document.title = view === "health" ? "Data health – Tapehouse" : `${symbol} – Tapehouse`;
    return same();
  }

  function show_view(view) {
    return [view === "health", view !== "health"];
  }

  // --- theme -------------------------------------------------------------------------------------
  function change_theme(clicks) {
    const root = document.documentElement;
    let scheme = root.dataset.mantineColorScheme === "dark" ? "dark" : "light";
    if (clicks) {
      scheme = scheme === "dark" ? "light" : "dark";
      localStorage.setItem(SCHEME, scheme);
    }
    root.dataset.mantineColorScheme = scheme;
    root.dataset.agThemeMode = scheme;
    return [scheme, scheme];
  }

  // --- legend ------------------------------------------------------------------------------------
  function write(name, text) {
    const cell = document.querySelector(`[data-ohlc="${name}"]`);
    if (!cell) return;
    if (cell.dataset.last === undefined) cell.dataset.last = cell.textContent;
    cell.textContent = text === null ? cell.dataset.last : text;
  }

  function point_at(crosshair) {
    const under = (crosshair && crosshair.seriesData) || {};
    const price = under.price;
    const volume = under.volume;
    if (!price) {
      for (const name of ["O", "H", "L", "C", "V"]) write(name, null);
      return same();
    }
    const four = price.customValues || price; // a line's points have their candles with them
    const names = { O: "open", H: "high", L: "low", C: "close" };
    const { text } = window.tapehouse;
    for (const [cell, name] of Object.entries(names)) write(cell, text.price(four[name]));
    if (volume) write("V", text.compact(volume.value));
    return same();
  }

  // --- live --------------------------------------------------------------------------------------
  // What the chart ends with, where it can be gone on with: null unless it shows minutes of the
  // symbol that is chosen. Where gold cannot be read, it shows those of the one before.
  let end = null; // {time, isForming, isLine, isSimulated}; the time is the axis's
  let gold = []; // the series as they were given, without live minutes
  let drawn = []; // the times of the live minutes that were put behind them, the last one last
  const minutes = new Map(); // live minutes by their time on the axis, as the feed told them last
  let following = null; // the symbol that they are of
  let toldMs = 0; // when its last trade was: minutes that ended before are whole

  // The axis has the exchange's wall clock as if it were UTC (chart.py).
  const wall = new Intl.DateTimeFormat("en-US", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit",
    hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
  });

  function exchange_time(ms) {
    return Object.fromEntries(wall.formatToParts(ms).map(({ type, value }) => [type, value]));
  }

  function axis_time(seconds) {
    const { year, month, day, hour, minute, second } = exchange_time(seconds * 1000);
    return Date.UTC(year, month - 1, day, hour, minute, second) / 1000;
  }

  function moment(ms) {
    const { year, month, day, hour, minute, second, timeZoneName } = exchange_time(ms);
    return `${year}-${month}-${day} ${hour}:${minute}:${second} ${timeZoneName}`;
  }

  function go_live(checked, symbol, series, charted, interval, simulated) {
    if (series !== gold) {
      gold = series || [];
      drawn = [];
    }
    const candles = gold.find((one) => one.id === "price");
    const forming = gold.find((one) => one.id === "forming");
    const last = candles && candles.data.length ? candles.data[candles.data.length - 1] : null;
    end = last === null || charted !== symbol || interval !== "1m" ? null : {
      time: last.time,
      isForming: forming.data.length > 0,
      isLine: candles.type !== "candlestick",
      isSimulated: simulated === "yes",
    };
    if (following !== symbol || !checked) {
      drop([...minutes.keys()]);
      following = symbol;
    }
    if (checked && symbol) window.tapehouse.live.open(symbol);
    else window.tapehouse.live.close();
    draw([...minutes.keys()]); // what has been drawn anew ends where gold does
    return same();
  }

  // A minute as chart.py draws what is not final.
  function bars({ open, high, low, close, volume }) {
    const colours = getComputedStyle(document.documentElement);
    const up = colours.getPropertyValue("--up-faint").trim();
    const color = close >= open ? up : colours.getPropertyValue("--down-faint").trim();
    const four = { open, high, low, close };
    const line = { value: close, customValues: four, lineColor: up };
    return { price: end.isLine ? line : { ...four, color }, volume: { value: volume, color } };
  }

  // Whether the chart has other series by now: `go_live` is about to hear of them, and draws anew.
  function is_overtaken() {
    return window.dash_component_api.getLayout("chart").props.series !== gold;
  }

  // Put live minutes behind gold's own, which stay. One that is there changes where a trade of it is
  // cancelled or comes late; the library puts none between two.
  function draw(times) {
    if (end === null || is_overtaken()) return;
    const ticks = [];
    for (const time of times.sort((one, other) => one - other)) {
      const one = minutes.get(time);
      if (one.isSimulated !== end.isSimulated) continue; // a made-up minute is no market's
      if (time < end.time || (time === end.time && !end.isForming)) continue;
      const isThere = drawn.includes(time);
      const last = drawn.length ? drawn[drawn.length - 1] : end.time;
      if (time < last && !isThere) {
        give_anew();
        return;
      }
      // Of the minutes in between nothing is known here: an empty one stands for them.
      if (time > last + 60) ticks.push({ id: "price", bar: { time: last + 60 } });
      const historicalUpdate = time < last;
      for (const [id, bar] of Object.entries(bars(one))) {
        ticks.push({ id, bar: { time, ...bar }, historicalUpdate });
      }
      if (historicalUpdate) continue;
      // The dot goes on to the last one.
      const isDotted = drawn.length > 0 || end.isForming;
      if (time > last && isDotted) ticks.push({ id: "forming", bar: { time: last } });
      ticks.push({ id: "forming", bar: { time, value: end.isLine ? one.close : one.high } });
      if (!isThere) drawn.push(time);
    }
    if (ticks.length) setProps("chart", { tick: ticks });
  }

  // Give the chart gold's series anew; all live minutes follow, when `go_live` hears of it.
  function give_anew() {
    end = null;
    if (is_overtaken()) return;
    setProps("chart", { series: gold.map((one) => ({ ...one, data: [...one.data] })) });
  }

  // Take minutes back: the library keeps what it has been given.
  function drop(times) {
    if (times.filter((time) => minutes.delete(time)).length) give_anew();
  }

  function price_text(symbol, last, simulated) {
    const mark = simulated ? " simulated" : "";
    const notDrawn = end !== null && Boolean(simulated) !== end.isSimulated ? ", not drawn" : "";
    return `${symbol} ${window.tapehouse.text.price(last.price)}${mark}${notDrawn} · ${moment(last.event_ms)}`;
  }

  function show_price(text) {
    document.getElementById("live-price").textContent = text;
  }

  document.addEventListener("tapehouse:trade", (event) => {
    const { symbol, last, simulated, candles } = event.detail;
    if (symbol !== following) return;
    show_price(last ? price_text(symbol, last, simulated) : "");
    if (last) toldMs = last.event_ms;
    const changed = [];
    const gone = [];
    for (const one of candles) {
      if (one.segment !== "regular") continue;
      const time = axis_time(one.start_s);
      // Of a minute in which the feed began nobody knows the open; one without has lost its trades.
      if (one.open === null || one.is_partial) {
        gone.push(time);
      } else {
        minutes.set(time, { ...one, isSimulated: Boolean(simulated) });
        changed.push(time);
      }
    }
    drop(gone);
    draw(changed);
  });

  // What follows is not heard: the price is no longer the last one, and what was forming will not
  // be whole. The feed tells all that it keeps when it is live again.
  document.addEventListener("tapehouse:live", (event) => {
    if (event.detail.state === "live") return;
    show_price("");
    drop([...minutes.keys()].filter((time) => minutes.get(time).end_s * 1000 > toldMs));
  });

  // --- a newer build -----------------------------------------------------------------------------
  document.addEventListener("tapehouse:freshness", (event) => {
    if (event.detail.build_id) setProps("published", { data: event.detail.build_id });
  });

  // --- a tile of the map is a way to its symbol --------------------------------------------------
  document.addEventListener("click", (event) => {
    const tile = event.target.closest && event.target.closest(".tile");
    if (tile) setProps("symbol", { value: tile.dataset.symbol });
  });

  window.dash_clientside = Object.assign({}, window.dash_clientside, {
    tapehouse: { follow_link, write_link, show_view, change_theme, point_at, go_live },
  });
})();
