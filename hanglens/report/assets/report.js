"use strict";
// Language, theme, copying and unfolding. The page is whole without any of it.
(() => {
  const root = document.documentElement;
  root.classList.add("script");

  // A file opened from disk may have no storage; then the theme of the system holds. The language is kept for a reload of this page.
  const stored = {
    get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
    set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* not remembered */ } },
  };
  const kept = {
    get: () => { try { return sessionStorage.getItem(location.pathname); } catch { return null; } },
    set: (language) => { try { sessionStorage.setItem(location.pathname, language); } catch { /* not remembered */ } },
  };
  const theme = stored.get("hanglens-theme");
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;

  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  const switchTheme = () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    stored.set("hanglens-theme", root.dataset.theme);
  };

  const setLanguage = (language) => {
    root.dataset.lang = language;
    root.lang = language === "zh" ? "zh-CN" : "en";
    for (const button of document.querySelectorAll("[data-set-lang]")) {
      button.setAttribute("aria-pressed", String(button.dataset.setLang === language));
    }
  };

  const select = (element) => {
    const selection = getSelection();
    selection.removeAllRanges();
    const range = document.createRange();
    range.selectNodeContents(element);
    selection.addRange(range);
  };

  const copy = async (button) => {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      select(code);
      if (!document.execCommand("copy")) return; // it stays selected: Ctrl-C does the rest
    }
    button.classList.add("copied");
    setTimeout(() => button.classList.remove("copied"), 2000);
  };

  const folds = () => [...document.querySelectorAll("main details")];

  const unfold = (button) => {
    const open = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(open));
    for (const fold of folds()) fold.open = open;
  };

  // The timeline tells the line of a mark under the pointer, or of the one that the arrow keys have reached.
  const tell = (mark) => {
    const { kind, what, when, place, line } = mark.dataset;
    const word = document.querySelector(`#timeline .legend [data-kind="${kind}"] > span`).cloneNode(true);
    const parts = [[what, "span"], [when, "time"], [place, "code"], [line, "code"]].filter(([text]) => text);
    const told = parts.map(([text, tag]) => Object.assign(document.createElement(tag), { textContent: text }));
    document.getElementById("timeline-told").replaceChildren(word, ...told);
    for (const other of document.querySelectorAll(".mark.current")) other.classList.remove("current");
    mark.classList.add("current");
  };

  const walk = (chart, key) => {
    const inTime = (row) => [...row.querySelectorAll(".mark")].sort((a, b) => a.dataset.at - b.dataset.at);
    const rows = [...chart.querySelectorAll(".rank-row")].map(inTime).filter((marks) => marks.length);
    const marks = rows.flat();
    const at = marks.indexOf(chart.querySelector(".mark.current"));
    const row = rows.findIndex((row) => row.includes(marks[at]));
    const next = {
      ArrowRight: marks[at + 1], ArrowLeft: marks[at - 1], ArrowDown: rows[row + 1]?.[0], ArrowUp: rows[row - 1]?.[0],
      Home: marks[0], End: marks.at(-1),
    };
    if (!(key in next)) return false;
    const mark = at < 0 ? marks[0] : next[key];
    if (mark) { tell(mark); mark.scrollIntoView({ block: "nearest", inline: "nearest" }); }
    return true;
  };

  // A link to a folded finding unfolds it, and all around it.
  const reveal = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    if (target) target.scrollIntoView();
  };

  let closed = [];
  addEventListener("beforeprint", () => {
    closed = folds().filter((fold) => !fold.open);
    for (const fold of closed) fold.open = true;
  });
  addEventListener("afterprint", () => { for (const fold of closed) fold.open = false; });
  addEventListener("hashchange", reveal);
  addEventListener("DOMContentLoaded", () => {
    setLanguage(kept.get() || root.dataset.lang);
    for (const button of document.querySelectorAll("[data-set-lang]")) {
      button.addEventListener("click", () => { setLanguage(button.dataset.setLang); kept.set(button.dataset.setLang); });
    }
    for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", () => copy(button));
    document.getElementById("theme").addEventListener("click", switchTheme);
    const chart = document.querySelector("svg.timeline");
    chart?.addEventListener("pointerover", ({ target }) => target.closest(".mark") && tell(target.closest(".mark")));
    chart?.addEventListener("keydown", (event) => { if (walk(chart, event.key)) event.preventDefault(); });
    document.getElementById("unfold").addEventListener("click", (event) => unfold(event.currentTarget));
    reveal();
  });
})();
