// A plot of the last minutes: lines over time, drawn as SVG.

import { h, s } from './dom.js';

const HEIGHT = 132;
const LEFT = 56;
const BELOW = 20;
const ABOVE = 8;

/** `series` are `[{of: 'sent', name: 'sent'}]`; the second line is dashed, so that it needs no colour. */
export class Plot {
  constructor(title, series, format, { least = 1, binary = false } = {}) {
    Object.assign(this, { series, format, least, binary, samples: [], width: 0 });
    this.now = h('p', { class: 'now', 'aria-hidden': 'true' });
    this.svg = s('svg', { height: HEIGHT, role: 'img' });
    this.readout = h('p', { class: 'readout', 'aria-hidden': 'true' });
    const legend = series.length < 2 ? [] : [h('ul', { class: 'legend' }, series.map((one, at) => h('li', { class: `line-${at}` }, one.name)))];
    this.element = h('figure', { class: 'plot' },
      h('figcaption', {}, h('h3', {}, title), ...legend, this.now), h('div', { class: 'canvas' }, this.svg, this.readout));
    this.title = title;
    new ResizeObserver(([entry]) => { this.width = Math.floor(entry.contentRect.width); this.draw(); }).observe(this.svg.parentNode);
    this.svg.addEventListener('pointermove', (event) => this.read(event));
    this.svg.addEventListener('pointerleave', () => { this.readout.textContent = ''; this.cursor?.remove(); });
  }

  update(samples) {
    this.samples = samples;
    const last = samples.at(-1);
    const told = this.series.map((one) => `${last ? this.format(last[one.of]) : '–'}${this.series.length > 1 ? ` ${one.name}` : ''}`);
    this.now.textContent = told.join('  ·  ');
    this.svg.setAttribute('aria-label', `${this.title}, now ${told.join(', ')}`);
    this.draw();
  }

  draw() {
    const { width, samples } = this;
    if (!width) return;
    const end = samples.at(-1)?.at ?? Date.now();
    const shown = Math.min(600000, Math.max(120000, end - (samples[0]?.at ?? end)));
    const start = end - shown;
    const top = nice(Math.max(this.least, ...samples.flatMap((sample) => this.series.map((one) => sample[one.of]))), this.binary);
    const x = (at) => LEFT + ((at - start) / shown) * (width - LEFT - 2);
    const y = (value) => ABOVE + (1 - value / top) * (HEIGHT - ABOVE - BELOW);
    Object.assign(this, { x, y });
    const parts = [];
    for (const part of [0, 0.5, 1]) {
      const at = y(top * part);
      parts.push(s('line', { class: 'grid', x1: LEFT, x2: width, y1: at, y2: at }));
      parts.push(s('text', { class: 'tick', x: LEFT - 8, y: at + 4, 'text-anchor': 'end' }, this.format(top * part, true)));
    }
    const minutes = shown / 60000;
    const step = minutes <= 3 ? 1 : minutes <= 6 ? 2 : 5;
    for (let minute = 0; minute <= minutes; minute += step) {
      const label = minute === 0 ? 'now' : `−${minute} min`;
      const anchor = minute === 0 ? 'end' : x(end - minute * 60000) < LEFT + 20 ? 'start' : 'middle';
      parts.push(s('text', { class: 'tick', x: x(end - minute * 60000), y: HEIGHT - 4, 'text-anchor': anchor }, label));
    }
    this.series.forEach((one, at) => {
      let path = '';
      samples.forEach((sample, index) => {
        const pen = index === 0 || sample.gap ? 'M' : 'L';
        path += `${pen}${x(sample.at).toFixed(1)} ${y(sample[one.of]).toFixed(1)}`;
      });
      if (at === 0 && samples.length > 1 && !samples.some((sample, index) => index > 0 && sample.gap)) {
        const area = `${path}L${x(end).toFixed(1)} ${y(0)}L${x(samples[0].at).toFixed(1)} ${y(0)}Z`;
        parts.push(s('path', { class: 'area', d: area }));
      }
      parts.push(s('path', { class: `stroke line-${at}`, d: path }));
    });
    this.svg.setAttribute('width', width);
    this.svg.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    this.svg.replaceChildren(...parts);
  }

  read(event) {
    if (!this.samples.length || !this.x) return;
    const at = event.clientX - this.svg.getBoundingClientRect().left;
    const near = this.samples.reduce((best, sample) => (Math.abs(this.x(sample.at) - at) < Math.abs(this.x(best.at) - at) ? sample : best));
    this.cursor?.remove();
    const line = this.x(near.at);
    this.cursor = s('line', { class: 'cursor', x1: line, x2: line, y1: ABOVE, y2: HEIGHT - BELOW });
    this.svg.append(this.cursor);
    const values = this.series.map((one) => `${this.format(near[one.of])}${this.series.length > 1 ? ` ${one.name}` : ''}`);
    this.readout.textContent = `${new Date(near.at).toLocaleTimeString('en-GB')}  ${values.join(' · ')}`;
  }
}

/** The next round number; of bytes, the next that is round in the unit in which it is told. */
function nice(value, binary) {
  if (binary && value >= 1024) {
    const unit = 1024 ** Math.floor(Math.log2(value) / 10);
    const rounded = nice(value / unit, false);
    return rounded >= 1000 ? 1024 * unit : rounded * unit;
  }
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value);
}
