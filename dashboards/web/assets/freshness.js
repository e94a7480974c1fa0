// The freshness badge. It asks the server every five seconds for a timeline (freshness.py) and reads
// that every second by the server's clock, so that it goes on ageing where the server is gone.
//
// The page gives an empty element with the attribute `data-freshness` for the badge, one with
// `data-market` for the exchange's session, and one with `data-shown-build` that names the build of
// the numbers on it; prices have `data-marks`, what is said of them as [from, class, text] in order.
// Told to the page: the event `tapehouse:freshness` on `document` when the state changes, its
// `detail` the badge and the published build.
"use strict";

(function (root) {
  const ASK_EVERY_MS = 5000;
  const UNITS = [[60, 1, "s"], [3600, 60, "min"], [172800, 3600, "h"]];

  function ageText(seconds) {
    for (const [limit, size, unit] of UNITS) {
      if (seconds < limit) return `${Math.floor(seconds / size)} ${unit}`;
    }
    return `${Math.floor(seconds / 86400)} days`;
  }

  // The badge of a moment: pure, and `freshness.Timeline.at` in another language.
  function badge(facts, nowMs, shownBuild = null) {
    let here = facts.segments[0];
    let next = null;
    for (const one of facts.segments) {
      if (one.from_ms <= nowMs) here = one;
      else { next = one.from_ms; break; }
    }
    let { state, label } = here;
    if (shownBuild !== null && facts.build_id === null) {
      state = "unreadable";
    } else if (shownBuild !== null && shownBuild !== facts.build_id) {
      [state, label] = ["swapped", facts.swapped_label];
    }
    const age = here.data_ms === null ? null : Math.max(0, Math.floor((nowMs - here.data_ms) / 1000));
    return {
      state, label, colour: facts.colours[state],
      age_s: age, age: age === null ? "" : ageText(age),
      since_ms: here.since_ms, next_change_ms: next,
      market: here.market, market_label: here.market_label,
    };
  }

  // The same where the server has not answered for too long, or never has; silence is in ms.
  function seen(facts, nowMs, silenceMs, shownBuild = null) {
    const limit = facts === null ? 20 : facts.disconnected_after_s;
    if (facts !== null && silenceMs < limit * 1000 && nowMs < facts.until_ms) {
      return badge(facts, nowMs, shownBuild);
    }
    const silent = ageText(Math.floor(silenceMs / 1000));
    const known = facts === null
      ? { age_s: null, age: "", since_ms: null, next_change_ms: null, market: "unknown", market_label: "" }
      : badge(facts, nowMs, shownBuild);
    if (facts === null && silenceMs < limit * 1000) {
      return { ...known, state: "no_data", colour: "grey", label: "Asking the server" };
    }
    const was = facts === null ? "" : `; before: ${known.label}`;
    return { ...known, state: "disconnected", colour: "red", label: `No answer for ${silent}${was}` };
  }

  function part(element, name, text) {
    let found = element.querySelector(`[data-part="${name}"]`);
    if (!found) {
      found = document.createElement("span");
      found.dataset.part = name;
      // Read aloud when it changes: the label, but not an age that does so every second.
      if (name === "label") found.setAttribute("role", "status");
      element.append(found);
    }
    if (found.textContent !== text) found.textContent = text;
  }

  function show(found, builtMs) {
    for (const element of document.querySelectorAll("[data-freshness]")) {
      element.dataset.state = found.state;
      element.dataset.colour = found.colour;
      // All of the label, which a narrow screen cuts off.
      const since = found.since_ms ? `; since ${new Date(found.since_ms).toISOString()}` : "";
      const built = builtMs ? `; build of ${new Date(builtMs).toISOString()}` : "";
      const title = found.label + since + built;
      if (element.title !== title) element.title = title;
      part(element, "label", found.label);
      part(element, "age", found.age ? `newest data ${found.age} old` : "");
    }
    for (const element of document.querySelectorAll("[data-market]")) {
      element.dataset.market = found.market;
      part(element, "market", found.market_label);
    }
  }

  // Prices age one by one; what is said of each, and from when on, freshness.py has worked out.
  function markPrices(nowMs) {
    for (const element of document.querySelectorAll("[data-marks]")) {
      const begun = JSON.parse(element.dataset.marks).filter(([fromMs]) => fromMs <= nowMs);
      const [, kind, text] = begun[begun.length - 1];
      if (element.className !== kind) element.className = kind;
      if (element.textContent !== text) element.textContent = text;
    }
  }

  function start(url) {
    let facts = null;
    let offsetMs = 0; // the server's clock less ours
    let answeredMs = Date.now();
    let told = "";

    async function ask() {
      const control = new AbortController();
      const timer = setTimeout(() => control.abort(), ASK_EVERY_MS);
      try {
        const answer = await fetch(url, { cache: "no-store", signal: control.signal });
        if (answer.ok) {
          facts = await answer.json();
          answeredMs = Date.now();
          offsetMs = facts.served_at_ms - answeredMs;
        }
      } catch {
        // The badge itself tells that nothing came, once it has lasted.
      } finally {
        clearTimeout(timer);
        setTimeout(ask, ASK_EVERY_MS);
      }
    }

    function tick() {
      const shown = document.querySelector("[data-shown-build]")?.dataset.shownBuild || null;
      // A clock that was set back is no answer from the future.
      const silence = Math.max(0, Date.now() - answeredMs);
      const found = seen(facts, Date.now() + offsetMs, silence, shown);
      show(found, facts && facts.built_at_ms);
      if (facts !== null) markPrices(Date.now() + offsetMs); // else the clock is only ours
      const now = `${found.state} ${facts && facts.build_id}`;
      if (now !== told) {
        told = now;
        const detail = { ...found, build_id: facts && facts.build_id };
        document.dispatchEvent(new CustomEvent("tapehouse:freshness", { detail }));
      }
    }

    ask();
    tick();
    setInterval(tick, 1000);
  }

  if (typeof module !== "undefined" && module.exports) {
    module.exports = { ageText, badge, seen };
  } else {
    root.tapehouse = Object.assign(root.tapehouse || {}, { freshness: { badge, seen } });
    start("freshness");
  }
})(typeof window === "undefined" ? null : window);
