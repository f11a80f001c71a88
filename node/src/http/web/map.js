// The node and its peers, drawn: who is linked with whom, and how far behind each is.
//
// A node knows its own links and no others, so it stands in the middle. Lines say by their pattern
// how a link is, and say it in words beside it.

import { s } from './dom.js';

const SHOWN = 12;

/** `peers` are `[{key, name, kind, word, note, live}]`. */
export function draw(svg, width, self, peers) {
  if (!width) return;
  const drawn = peers.slice(0, SHOWN);
  const narrow = width < 520;
  const height = drawn.length <= 2 ? 170 : narrow ? 380 : 300;
  const middle = drawn.length === 1 ? [width * (narrow ? 0.22 : 0.28), height / 2 - 10] : [width / 2, height / 2 - 10];
  const place = (at) => {
    if (drawn.length === 1) return [width * (narrow ? 0.78 : 0.72), height / 2 - 10];
    const angle = Math.PI + (2 * Math.PI * at) / drawn.length;
    return [width / 2 + Math.cos(angle) * (width / 2 - (narrow ? 52 : 84)), height / 2 - 10 + Math.sin(angle) * (height / 2 - 54)];
  };
  const lines = [];
  const nodes = [];
  drawn.forEach((peer, at) => {
    const [x, y] = place(at);
    lines.push(s('line', { class: `edge ${peer.kind}`, x1: middle[0], y1: middle[1], x2: x, y2: y }));
    const [dx, dy] = [x - middle[0], y - middle[1]];
    const steep = Math.abs(dy) > Math.abs(dx);
    const [tx, ty] = [middle[0] + dx * 0.52, middle[1] + dy * 0.52];
    const text = (line, number) => s('text', { class: number ? 'note' : 'word', x: tx, y: ty + (steep ? 0 : -10) + number * 15 + (steep ? 0 : number * 9), 'text-anchor': 'middle' }, line);
    nodes.push(...[narrow ? peer.short : peer.word, peer.note].filter(Boolean).map(text));
    nodes.push(...dot(x, y, peer.name, peer.kind, peer.key));
  });
  nodes.push(...dot(middle[0], middle[1], self.name, 'self', self.key));
  svg.setAttribute('width', width);
  svg.setAttribute('height', height);
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.setAttribute('aria-label', [`${self.name}, this node`, ...peers.map((peer) => `${peer.name}: ${peer.word}${peer.note ? `, ${peer.note}` : ''}`)].join('; '));
  svg.replaceChildren(...lines, ...nodes);
}

function dot(x, y, name, kind, key) {
  const signs = { good: '✓', warn: '▲', bad: '✕', idle: '‖', self: '' };
  const parts = [
    s('circle', { class: `dot ${kind}`, cx: x, cy: y, r: kind === 'self' ? 24 : 20 }),
    s('text', { class: `initial ${kind}`, x, y: y + 5, 'text-anchor': 'middle' }, name.slice(0, 1).toUpperCase()),
    s('text', { class: 'name', x, y: y + (kind === 'self' ? 42 : 38), 'text-anchor': 'middle' }, name.length > 16 ? `${name.slice(0, 15)}…` : name),
  ];
  if (signs[kind]) {
    parts.push(s('circle', { class: `badge ${kind}`, cx: x + 15, cy: y - 15, r: 8 }));
    parts.push(s('text', { class: 'badge-sign', x: x + 15, y: y - 11.5, 'text-anchor': 'middle' }, signs[kind]));
  }
  return [s('g', {}, s('title', {}, key), ...parts)];
}
