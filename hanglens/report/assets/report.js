"use strict";
// Language, theme, copying and unfolding. The page is whole without any of it.
(() => {
  const root = document.documentElement;
  root.classList.add("script");

  // A file opened from disk may have no storage; then the theme of the system holds.
  const stored = {
    get: (key) => { try { return localStorage.getItem(key); } catch { return null; } },
    set: (key, value) => { try { localStorage.setItem(key, value); } catch { /* not remembered */ } },
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
    setLanguage(root.dataset.lang);
    for (const button of document.querySelectorAll("[data-set-lang]")) {
      button.addEventListener("click", () => setLanguage(button.dataset.setLang));
    }
    for (const button of document.querySelectorAll(".copy")) button.addEventListener("click", () => copy(button));
    document.getElementById("theme").addEventListener("click", switchTheme);
    document.getElementById("unfold").addEventListener("click", (event) => unfold(event.currentTarget));
    reveal();
  });
})();
