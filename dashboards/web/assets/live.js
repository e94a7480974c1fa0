// Live mode: the last trade and the forming minutes of one symbol, from /live by WebSocket (feed.py).
//
//   tapehouse.live.open("AAPL")   closes the symbol before; connects again by itself, ever slower
//   tapehouse.live.close()
//
// Told to the page, on `document`: `tapehouse:trade`, its `detail` the server's object with
// `latency_ms`, from Kafka's timestamp of the last trade to here (null where it tells nothing: see
// `latency`); and `tapehouse:live` on change, its `detail` {state, detail, symbol}, where `state` is
// off, connecting, live, down (the server has no Kafka) or lost (no server). An empty element with
// the attribute `data-live` shows the state in words, and one with `data-lag` the latency: apart, as
// that is nothing to read aloud ten times a second.
"use strict";

(function (root) {
  const SILENT_AFTER_MS = 15000; // the server says something every five seconds
  const FIRST_WAIT_MS = 500;
  const LONGEST_WAIT_MS = 30000;
  const LAG_SHOWN_MS = 5000; // it is the last trade's: hours after that it says nothing
  const WORDS = {
    off: "", connecting: "Live: connecting", live: "Live, not yet reconciled",
    down: "Live: not available", lost: "Live: no server, trying again",
  };

  // How long to wait before the next attempt: doubled, and spread so that pages do not come at once.
  function waitMs(attempt, random = Math.random()) {
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt);
    return longest * (0.5 + random / 2);
  }

  // From Kafka to here, without asking that two machines' clocks agree: what passed up to sending is
  // the server's own, and the way from there is what it takes longer than the quickest one so far.
  // Only of a trade that is newer than the one before: the first that is told may be of any age, and
  // where a trade is cancelled the one before it is the last again.
  function latency() {
    let quickest = Infinity;
    let shownMs = Infinity; // when the trade was that was told last
    return function (text, nowMs) {
      const way = nowMs - text.sent_ms;
      quickest = Math.min(quickest, way);
      if (!text.last) return null;
      const isNewer = text.last.event_ms > shownMs;
      shownMs = text.last.event_ms;
      if (!isNewer) return null;
      return text.sent_ms - text.last.kafka_ms + (way - quickest);
    };
  }

  function lag(latencyMs) {
    return latencyMs === null ? "" : `${(latencyMs / 1000).toFixed(1)} s behind Kafka`;
  }

  function label(state, detail) {
    return state === "down" && detail ? `${WORDS.down}: ${detail}` : WORDS[state];
  }

  function browser(url) {
    let socket = null;
    let timer = null;
    let silence = null;
    let attempt = 0;
    let symbol = null;
    let told = { state: "off", detail: "", symbol: null };
    let measure = latency();
    let forgetting = null;

    function emit(name, detail) {
      document.dispatchEvent(new CustomEvent(name, { detail }));
    }

    function show() {
      for (const element of document.querySelectorAll("[data-live]")) {
        const text = label(told.state, told.detail);
        if (element.dataset.state !== told.state) element.dataset.state = told.state;
        if (element.textContent !== text) element.textContent = text;
      }
    }

    function showLag(latencyMs) {
      clearTimeout(forgetting);
      for (const element of document.querySelectorAll("[data-lag]")) {
        element.textContent = lag(latencyMs);
      }
      if (latencyMs !== null) forgetting = setTimeout(() => showLag(null), LAG_SHOWN_MS);
    }

    function tell(state, detail = "") {
      if (state !== told.state || detail !== told.detail || symbol !== told.symbol) {
        told = { state, detail, symbol };
        if (state !== "live") {
          measure = latency();
          showLag(null);
        }
        emit("tapehouse:live", told);
      }
      show();
    }

    function heard() {
      clearTimeout(silence);
      const mine = socket;
      silence = setTimeout(() => mine && mine.close(), SILENT_AFTER_MS);
    }

    function take(event) {
      heard();
      attempt = 0;
      const text = JSON.parse(event.data);
      if (text.type === "status") {
        tell(text.state === "stopped" ? "down" : text.state, text.detail);
      } else {
        text.latency_ms = measure(text, Date.now());
        if (text.latency_ms !== null) showLag(text.latency_ms);
        emit("tapehouse:trade", text);
      }
    }

    function connect() {
      if (symbol === null) return;
      const mine = new WebSocket(`${url}?symbol=${encodeURIComponent(symbol)}`);
      socket = mine;
      heard();
      // What an earlier socket still has to say is of another symbol.
      mine.onmessage = (event) => { if (mine === socket) take(event); };
      mine.onclose = () => {
        if (mine !== socket) return;
        clearTimeout(silence);
        tell("lost");
        timer = setTimeout(connect, waitMs(attempt));
        attempt += 1;
      };
    }

    function close() {
      clearTimeout(timer);
      clearTimeout(silence);
      const mine = socket;
      socket = null;
      symbol = null;
      if (mine) mine.close();
      tell("off");
    }

    function open(wanted) {
      if (wanted === symbol) return;
      close();
      symbol = wanted;
      attempt = 0;
      tell("connecting");
      connect();
    }

    return { open, close };
  }

  if (typeof module !== "undefined" && module.exports) {
    module.exports = { label, lag, latency, waitMs };
  } else {
    const url = new URL("live", root.location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = url.hash = "";
    root.tapehouse = Object.assign(root.tapehouse || {}, { live: browser(url.href) });
  }
})(typeof window === "undefined" ? null : window);
