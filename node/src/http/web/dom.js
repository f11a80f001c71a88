// Elements made of names, attributes and texts, and figures as people read them.
//
// Whatever is given as a child becomes a text: what documents hold is never read as markup.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: `h('button', {class: 'small', onclick: settle}, 'Keep this')`. */
export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same of SVG. */
export function s(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value' || name === 'checked') element[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const $ = (id) => document.getElementById(id);

/** Puts other children in place, but only if what they show has changed: focus and selection stay. */
export function show(parent, seen, ...children) {
  const sign = JSON.stringify(seen);
  if (parent.dataset.seen === sign) return false;
  parent.dataset.seen = sign;
  parent.replaceChildren(...children.flatMap((child) => (typeof child === 'function' ? child() : child)));
  return true;
}

const FOCUSABLE = 'button, input, textarea, a[href], [tabindex]';

/** Keeps a list as it should be, making anew only those of which something has changed. Who is in
 * one by keyboard stays where they are. */
export function keep(parent, items, key, make) {
  const held = parent.contains(document.activeElement) ? [...parent.children].find((child) => child.contains(document.activeElement)) : null;
  const place = held ? [held.dataset.key, [...held.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement)] : null;
  const there = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let at = parent.firstElementChild;
  for (const item of items) {
    const name = String(key(item));
    const sign = JSON.stringify(item);
    let child = there.get(name);
    there.delete(name);
    if (child && child.dataset.sign !== sign) {
      const fresh = make(item);
      if (child === at) at = fresh;
      child.replaceWith(fresh);
      child = fresh;
    }
    child ??= make(item);
    child.dataset.key = name;
    child.dataset.sign = sign;
    if (child === at) at = at.nextElementSibling;
    else parent.insertBefore(child, at);
  }
  for (const gone of there.values()) gone.remove();
  if (place && !parent.contains(document.activeElement)) {
    const again = [...parent.children].find((child) => child.dataset.key === place[0]);
    (place[1] < 0 ? again : again?.querySelectorAll(FOCUSABLE)[place[1]])?.focus({ preventScroll: true });
  }
}

/** A state: a sign, and its word. */
export function state(kind, word) {
  const signs = { good: '●', warn: '▲', bad: '✕', idle: '○' };
  return h('span', { class: `state ${kind}`, 'data-sign': signs[kind] }, word);
}

const numbers = new Intl.NumberFormat('en-GB');
export const count = (n) => numbers.format(Math.round(n));
export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;

export function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  while (n >= 1024 && at < units.length - 1) [n, at] = [n / 1024, at + 1];
  return `${n >= 100 || at === 0 ? Math.round(n) : n.toFixed(1)} ${units[at]}`;
}

export function rate(n) {
  if (n === 0) return '0';
  return n < 10 ? n.toFixed(1) : count(n);
}

export function lasting(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function ago(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  return seconds < 5 ? 'just now' : `${lasting(seconds)} ago`;
}

/** How long ago something was, which goes on by itself. */
export const since = (time) => h('time', { class: 'ago', datetime: time, title: time }, ago(time));

setInterval(() => {
  for (const one of document.querySelectorAll('time.ago')) one.textContent = ago(one.dateTime);
}, 5000);

export const short = (key) => key.slice(0, 10);

/** A moment as this machine's people write it; the exact one on hovering. */
export function moment(time) {
  const date = new Date(time);
  const text = date.toLocaleString('en-GB', { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit', second: '2-digit' });
  return h('time', { datetime: time, title: time }, text);
}

/** Says something in passing, perhaps with a button. */
export function toast(text, { bad = false, action, run } = {}) {
  const box = $('toasts');
  const close = () => one.remove();
  const buttons = action ? [h('button', { onclick: () => { close(); run(); } }, action)] : [];
  const one = h('div', { class: bad ? 'toast bad' : 'toast' }, h('span', {}, text), ...buttons, h('button', { onclick: close, 'aria-label': 'Close this message' }, 'Close'));
  box.replaceChildren(...[...box.children].slice(-2), one);
  // Above a dialog that is open, which else would cover it.
  box.hidePopover();
  box.showPopover();
  setTimeout(close, bad ? 12000 : 7000);
}

/** Does something now and then: soon after it was asked for, and for a small part of the time, however
 * long it takes. Who asks meanwhile is served by the next turn. */
export class Seldom {
  constructor(work, least = 0) {
    Object.assign(this, { work, least, next: 0, timer: null, running: false });
  }

  ask() {
    if (this.timer !== null) return;
    this.timer = setTimeout(() => this.turn(), Math.max(this.least, this.next - performance.now()));
  }

  async turn() {
    const begun = performance.now();
    this.timer = null;
    if (this.running) return void this.ask();
    this.running = true;
    await tried(this.work);
    this.running = false;
    this.next = performance.now() + 5 * (performance.now() - begun);
  }
}

/** Runs what may fail, and says why it did. */
export async function tried(work) {
  try {
    return await work();
  } catch (error) {
    toast(error.message, { bad: true });
    return undefined;
  }
}

/** A dialog that is there as long as it is open. `make` gets a function that closes it. */
export function dialog(title, about, make, { narrow = false } = {}) {
  const element = h('dialog', { class: narrow ? 'narrow' : '', 'aria-labelledby': 'dialog-title' });
  const close = () => element.close();
  element.append(h('header', {}, h('h2', { id: 'dialog-title' }, title), about ? h('p', {}, about) : null), ...make(close));
  element.addEventListener('close', () => element.remove());
  document.body.append(element);
  element.showModal();
  return element;
}

/** A value as people read it: texts as they are, the rest as JSON. */
export function plainly(value) {
  if (typeof value === 'string') return value === '' ? '(empty)' : value;
  if (value === null || value === undefined) return '(nothing)';
  if (typeof value === 'object') {
    const keys = Object.keys(value);
    if (keys.length === 1 && keys[0] === '$set') return value.$set.map(plainly).join(', ') || '(empty set)';
    if (keys.length === 1 && keys[0] === '$counter') return count(value.$counter);
    if (keys.length === 1 && keys[0] === '$time') return value.$time;
  }
  return JSON.stringify(value, null, 2);
}
