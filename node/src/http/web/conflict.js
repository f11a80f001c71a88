// What was written concurrently, side by side, and settling it.

import { ask } from './api.js';
import { h, plainly, since, tried } from './dom.js';

/** A conflict of `GET /conflicts`; `who` names authors, `mine` is what was typed and
 * is not saved, `done` is called when it is settled. */
export function conflict(found, { who, where, done, mine }) {
  const settle = async (choice) => {
    const { collection, id, path } = found;
    await tried(() => ask('POST', '/conflicts/resolve', { body: { collection, id, path, ...choice } }));
    done();
  };
  const side = (candidate, at) =>
    h('div', { class: at === 0 ? 'side shown' : 'side' },
      h('div', { class: 'by' },
        h('b', {}, who(candidate.author)),
        since(candidate.time),
        at === 0 ? h('span', { class: 'chip accent' }, 'shown now') : null),
      h('div', { class: 'value', tabindex: '0', role: 'group', 'aria-label': `Written by ${who(candidate.author)}` }, plainly(candidate.value)),
      h('button', { onclick: () => settle({ take: at + 1 }) }, 'Keep this'));
  const sides = found.candidates.map(side);
  if (found.candidates.every((candidate) => typeof candidate.value === 'string')) {
    sides.push(own(found, mine, settle));
  }
  return h('article', { class: 'conflict' }, h('header', {}, ...where), h('div', { class: 'sides' }, ...sides));
}

/** For who wants neither of them: both, to be put together, and what was being typed meanwhile. */
function own(found, mine, settle) {
  const values = found.candidates.map((candidate) => candidate.value);
  const both = [...new Set([...values, mine].filter(Boolean))].join('\n');
  const input = h('textarea', { 'aria-label': 'Put both together', value: both, rows: '2' });
  return h('div', { class: 'side' },
    h('div', { class: 'by' }, h('b', {}, 'Put together')),
    input,
    h('button', { onclick: () => settle({ value: input.value }) }, 'Use this text'));
}
