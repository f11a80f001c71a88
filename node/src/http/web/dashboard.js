// The dashboard: whether the node is well, what is behind, why, since when, what conflicts, who is
// connected; and what a person does about it.
//
// How the node is comes over the WebSocket while the page is seen, as do changes of documents; while
// there is no socket, `/status` is asked every second. What costs the node more is asked when that
// has changed.

import { Feed, Failure, ask, get } from './api.js';
import { conflict } from './conflict.js';
import { $, ago, bytes, count, h, keep, lasting, many, moment, rate, short, show, since, state, toast, tried } from './dom.js';
import { History } from './history.js';
import { draw } from './map.js';
import { Plot } from './plot.js';
import { TapePanel } from './tape.js';

const EVERY_MS = 1000;
const HEALTH_EVERY_MS = 5000;
const SHOWN_CONFLICTS = 20;
const SHOWN_CHANGES = 60;
/** With more documents than this a digest is worked out when somebody asks for it: that reads them all. */
const DIGEST_UNASKED = 20000;

let status = null;
let names = new Map();
let width = 0;
let digests = { position: -1, of: new Map() };

const who = (key) => names.get(key) || (key === status?.node ? 'this node' : short(key));

const WORDS = {
  connected: ['good', 'connected'],
  connecting: ['warn', 'connecting'],
  waiting: ['warn', 'away'],
  gone: ['warn', 'away'],
  refused: ['bad', 'refused'],
  standby: ['idle', 'standing by'],
  paused: ['idle', 'cut for now'],
  closed: ['idle', 'closed'],
};

// ---- what is known of peers ----

/** Each peer with the best of its links, and how far it is behind. */
function peers() {
  const found = new Map();
  const order = ['connected', 'connecting', 'refused', 'waiting', 'paused', 'standby', 'closed'];
  const best = (link) => order.indexOf(link.state);
  for (const link of status.running.links) {
    const before = found.get(link.peer);
    if (!before || best(link) < best(before)) found.set(link.peer, link);
  }
  // One that had dialled this node and has gone leaves no link, and is behind all the same.
  for (const { peer } of status.running.standings) if (!found.has(peer)) found.set(peer, absent(peer));
  return [...found.values()].map((link) => {
    const of = status.running.standings.filter((one) => one.peer === link.peer);
    const lag = of.reduce((sum, one) => sum + one.lag_transactions, 0);
    const seconds = of.filter((one) => one.lag_transactions > 0).reduce((most, one) => Math.max(most, one.lag_s), 0);
    const stalled = of.reduce((most, one) => Math.max(most, one.stalled_s), 0);
    const trouble = link.collections.find((one) => one.trouble);
    return { link, key: link.peer, name: who(link.peer), lag, seconds, stalled, trouble };
  }).sort((a, b) => (a.name < b.name ? -1 : 1));
}

const absent = (peer) => ({
  peer, state: status.running.offline ? 'paused' : 'gone', address: '', incoming: true,
  reason: status.running.partings.find((one) => one.peer === peer)?.reason ?? null, connected_since: null,
  synced: false, rtt_ms: null, received_bytes: null, sent_bytes: null, collections: [],
});

function wordOf({ link, trouble }) {
  if (link.state === 'connected' && trouble) return ['warn', 'in trouble'];
  return WORDS[link.state] ?? ['idle', link.state];
}

function behind(peer) {
  if (peer.lag > 0) return `${count(peer.lag)} behind${peer.seconds >= 1 ? `, for ${lasting(peer.seconds)}` : ''}`;
  return peer.link.state === 'connected' ? (peer.link.synced ? 'in sync' : 'syncing') : '';
}

// ---- parts of the page ----

function tile(id, title, kind, figure, about) {
  show($(id), [kind, figure, about], () => [
    h('h2', {}, title),
    h('p', { class: 'figure' }, kind ? state(kind, figure) : figure),
    h('p', {}, about),
  ]);
}

function showHealth(health) {
  const kinds = { ok: 'good', degraded: 'warn', failing: 'bad' };
  const words = { ok: 'Healthy', degraded: 'Degraded', failing: 'Failing' };
  const bad = health.checks.filter((check) => check.status !== 'ok');
  const about = bad.length ? bad.map((check) => `${check.check}: ${check.what}`).join('; ') : 'store, disk, links, clock';
  tile('tile-health', 'Health', kinds[health.status] ?? 'idle', words[health.status] ?? health.status, about);
}

function showTiles(all) {
  const { running } = status;
  const up = all.filter((peer) => peer.link.state === 'connected');
  const away = all.filter((peer) => !['connected', 'standby', 'closed'].includes(peer.link.state));
  if (running.offline) tile('tile-links', 'Links', 'idle', 'Offline', 'All are cut for now, on request');
  else if (!all.length) tile('tile-links', 'Links', 'idle', 'None', 'No peer is linked with this node');
  else tile('tile-links', 'Links', away.length ? 'warn' : 'good', `${up.length} of ${up.length + away.length}`, away.length ? `${away.map((peer) => peer.name).slice(0, 3).join(', ')}: not connected` : up.map((peer) => peer.name).slice(0, 3).join(', '));
  const late = all.filter((peer) => peer.lag > 0).sort((a, b) => b.lag - a.lag);
  const stuck = all.find((peer) => peer.stalled >= 30);
  if (stuck) tile('tile-behind', 'Behind', 'bad', `Nothing moves`, `${stuck.name}, for ${lasting(stuck.stalled)}`);
  else if (late.length) tile('tile-behind', 'Behind', 'warn', many(late[0].lag, 'change'), `${late[0].name}${late[0].seconds >= 1 ? `, for ${lasting(late[0].seconds)}` : ''}`);
  else tile('tile-behind', 'Behind', all.length ? 'good' : 'idle', all.length ? 'Nobody' : 'Nobody', all.length ? 'Each peer has what is here' : 'There is nobody to send to');
  const conflicts = status.collections.reduce((sum, one) => sum + one.conflicts, 0);
  tile('tile-conflicts', 'Conflicts', conflicts ? 'warn' : 'good', conflicts ? many(conflicts, 'document') : 'None', conflicts ? 'To be settled, below' : 'Nothing to settle');
  tile('tile-disk', 'Disk', '', bytes(status.state_bytes + status.log_bytes), status.log_budget_bytes ? `log ${bytes(status.log_bytes)} of ${bytes(status.log_budget_bytes)}` : 'no log yet');
}

function showMap(all) {
  const drawn = all.map((peer) => {
    const [kind, word] = wordOf(peer);
    const note = behind(peer);
    const trip = peer.link.rtt_ms === null ? '' : ` · ${peer.link.rtt_ms < 10 ? peer.link.rtt_ms.toFixed(1) : Math.round(peer.link.rtt_ms)} ms`;
    return { key: peer.key, name: peer.name, kind: peer.lag > 0 && kind === 'good' ? 'warn' : kind, word: `${word}${trip}`, short: word, note };
  });
  $('map-box').hidden = !drawn.length;
  $('map-empty').hidden = drawn.length > 0;
  draw($('map'), width, { key: status.node, name: who(status.node) }, drawn);
}

function showLinks(all) {
  $('links-empty').hidden = all.length > 0;
  $('links').parentNode.hidden = all.length === 0;
  const items = all.map((peer) => {
    const { link } = peer;
    const [kind, word] = wordOf(peer);
    return {
      key: peer.key, name: peer.name, kind, word,
      address: link.address ? `${link.incoming ? 'dialled from' : 'at'} ${link.address.split('#')[0]}` : 'dials this node',
      why: link.state === 'connected' ? peer.trouble && `${peer.trouble.name}: ${peer.trouble.trouble}` : link.reason,
      since: link.connected_since, age: link.connected_since && ago(link.connected_since),
      behind: behind(peer), trip: link.rtt_ms === null ? '' : `${link.rtt_ms.toFixed(1)} ms`,
      received: link.received_bytes === null ? '–' : bytes(link.received_bytes), sent: link.sent_bytes === null ? '–' : bytes(link.sent_bytes),
    };
  });
  keep($('links'), items, (item) => item.key, (item) => h('tr', {},
    h('td', {}, h('b', { title: item.key }, item.name), h('span', { class: 'sub' }, item.address)),
    h('td', { 'data-label': 'State', class: item.why ? 'long' : '' }, h('span', {}, state(item.kind, item.word), item.why ? h('span', { class: 'sub' }, item.why) : null)),
    h('td', { 'data-label': 'Since', class: item.since ? '' : 'nothing', title: item.since }, item.age ?? '–'),
    h('td', { 'data-label': 'Behind', class: 'number' }, item.behind || '–'),
    h('td', { 'data-label': 'Round trip', class: item.trip ? 'number' : 'number nothing' }, item.trip || '–'),
    h('td', { 'data-label': 'Received', class: 'number' }, item.received),
    h('td', { 'data-label': 'Sent', class: 'number' }, item.sent)));
}

function showCollections(all) {
  const up = all.filter((peer) => peer.link.state === 'connected');
  $('collections-empty').hidden = status.collections.length > 0;
  $('collections').parentNode.hidden = status.collections.length === 0;
  const items = status.collections.map((one) => {
    const same = up.filter((peer) => {
      const link = peer.link.collections.find((of) => of.name === one.name);
      const standing = status.running.standings.find((of) => of.peer === peer.key && of.collection === one.name);
      return link && !link.trouble && !link.unacked_bytes && standing && standing.live && standing.lag_transactions === 0;
    });
    const told = !all.length ? '–' : same.length === all.length ? `all ${many(all.length, 'peer')}` : same.length ? same.map((peer) => peer.name).join(', ') : 'no peer';
    const digest = digests.of.get(one.name);
    return {
      ...one, held: status.holds.some((of) => of.collection === one.name), kind: same.length === all.length ? 'good' : same.length ? 'warn' : 'idle', peers: all.length, same: told,
      digest: digest ?? '', stale: digests.position !== status.position,
    };
  });
  keep($('collections'), items, (item) => item.name, (item) => h('tr', {},
    h('td', {}, h('b', {}, item.name), item.held ? h('span', { class: 'chip warn' }, 'held') : null),
    h('td', { 'data-label': 'Documents', class: 'number' }, count(item.documents)),
    h('td', { 'data-label': 'Conflicts', class: 'number' }, item.conflicts ? h('span', { class: 'chip warn' }, count(item.conflicts)) : '0'),
    h('td', { 'data-label': 'Transactions', class: 'number' }, count(item.transactions)),
    h('td', { 'data-label': 'In the log', class: 'number' }, bytes(item.log_bytes)),
    h('td', { 'data-label': 'Same as', class: 'long' }, item.peers ? state(item.kind, item.same) : '–'),
    h('td', { 'data-label': 'Shows', class: 'long' }, item.digest ? h('code', { title: item.digest, class: item.stale ? 'stale' : '' }, item.digest.slice(0, 12)) : '–')));
}

function showAbout() {
  const { running } = status;
  const parts = [`running for ${lasting(Math.max(1, running.uptime_s))}`, running.listen ? `links at ${running.listen}` : 'takes no links', `version ${status.version}`];
  $('name').textContent = who(status.node) === 'this node' ? `Node ${short(status.node)}` : who(status.node);
  document.title = `${$('name').textContent} · Littoral`;
  show($('about'), parts, () => [h('code', { title: 'The key of this node' }, status.node), ` · ${parts.join(' · ')}`]);
  const online = !running.offline;
  $('online').setAttribute('aria-checked', String(online));
  $('online-word').textContent = online ? 'Online' : 'Offline';
  if (status.failure) toast(`The store refuses writes: ${status.failure}`, { bad: true });
}

function showHolds() {
  $('holds-panel').hidden = status.holds.length === 0;
  keep($('holds'), status.holds, (one) => one.collection, (one) => h('li', {},
    h('div', { class: 'what' }, h('b', {}, one.collection), h('p', {}, `shows “${one.label}” and what was written here since; not exchanged with peers · held since `, since(one.since))),
    h('button', { onclick: () => tried(async () => { await ask('POST', '/resume', { body: { collection: one.collection } }); await tick(); }) }, 'Let it go on')));
}

function showMembers(roster) {
  const linked = new Set(status.running.links.filter((link) => link.state === 'connected').map((link) => link.peer));
  const here = (key) => (key === roster.node ? 'this node' : linked.has(key) ? 'connected' : 'not connected');
  const rights = (of) => Object.entries(of).map(([name, word]) => (name === '*' ? `${word} everywhere` : `${word} in ${name}`)).join(', ');
  const members = roster.members.map((one) => ({ key: one.node, name: one.name || short(one.node), may: rights(one.rights) || 'nothing', state: here(one.node) }));
  const known = new Set(members.map((one) => one.key));
  const trusted = roster.trusted.filter((one) => !known.has(one.node)).map((one) => ({ key: one.node, name: who(one.node), may: roster.founder ? 'known by its key' : 'everything: there is no roster', state: here(one.node) }));
  const all = [...members, ...trusted];
  $('members-empty').hidden = all.length > 0;
  keep($('members'), all, (one) => one.key, (one) => h('li', {},
    h('div', { class: 'what' }, h('b', {}, one.name), h('p', {}, one.may), h('p', {}, h('code', {}, one.key))),
    state(one.state === 'connected' ? 'good' : 'idle', one.state)));
}

function showRefused() {
  const { refused, kept_off: keptOff } = status.running;
  $('refused-empty').hidden = refused.length > 0;
  keep($('refused'), refused.slice(0, 10), (one) => one.node, (one) => h('li', {},
    h('div', { class: 'what' }, h('code', {}, one.node), h('p', {}, moment(one.time), ' · its key is not trusted here'))));
  const some = Object.entries(keptOff).filter(([, n]) => n > 0).map(([kind, n]) => `${count(n)} ${kind.replaceAll('_', ' ')}`);
  $('kept-off').textContent = some.length ? `Kept off: ${some.join(', ')}.` : '';
}

// ---- what is asked when something has changed ----

let conflictsSeen = '';
let conflictsNext = 0;

async function refreshConflicts(again = false) {
  const open = status.collections.reduce((sum, one) => sum + one.conflicts, 0);
  const sign = open ? `${open} ${status.position}` : 'none';
  // With many of them that is much, so it takes a small part of the time only.
  if (!again && (sign === conflictsSeen || performance.now() < conflictsNext)) return;
  const begun = performance.now();
  const { conflicts } = open || again ? await get('/conflicts') : { conflicts: [] };
  conflictsSeen = sign;
  conflictsNext = performance.now() + 10 * (performance.now() - begun);
  $('conflicts-panel').hidden = conflicts.length === 0;
  keep($('conflicts'), conflicts.slice(0, SHOWN_CONFLICTS), (one) => JSON.stringify([one.collection, one.id, one.path]), (one) =>
    conflict(one, {
      who,
      where: [h('span', { class: 'where' }, one.id), h('span', { class: 'chip' }, one.collection), h('code', {}, one.path || 'the document')],
      done: () => tried(tick).then(() => tried(() => refreshConflicts(true))),
    }));
  const more = conflicts.length - SHOWN_CONFLICTS;
  $('conflicts-more').textContent = more > 0 ? `${many(more, 'more conflict')} when these are settled; littoral conflicts lists them all.` : '';
}

let digestsNext = 0;

async function refreshDigests() {
  const documents = status.collections.reduce((sum, one) => sum + one.documents, 0);
  const told = $('digests');
  if (documents > DIGEST_UNASKED) {
    show(told, 'button', () => [h('button', { class: 'small', onclick: () => tried(readDigests) }, 'Work out digests'), ' Equal digests are equal documents, here and on a peer.']);
    return;
  }
  show(told, status.collections.length > 0, () => (status.collections.length ? ['Nodes that show the same have the same digest.'] : []));
  if (digests.position === status.position || performance.now() < digestsNext) return;
  await readDigests();
}

async function readDigests() {
  const begun = performance.now();
  const { position } = status;
  const { collections } = await get('/state');
  digestsNext = performance.now() + Math.max(2000, 20 * (performance.now() - begun));
  digests = { position, of: new Map(collections.map((one) => [one.name, one.shown])) };
}

let rosterSign = '';

async function refreshRoster() {
  const linked = status.running.links.map((link) => `${link.peer} ${link.state}`).join();
  const turn = Math.floor(Date.now() / 15000);
  if (rosterSign === `${turn} ${linked}`) return;
  rosterSign = `${turn} ${linked}`;
  const roster = await get('/roster');
  names = new Map(roster.members.filter((one) => one.name).map((one) => [one.node, one.name]));
  showMembers(roster);
}

const changes = [];
let drawing = false;

function changed(change) {
  changes.unshift(change);
  changes.length = Math.min(changes.length, SHOWN_CHANGES);
  if (drawing) return;
  drawing = true;
  setTimeout(() => {
    drawing = false;
    $('activity-empty').hidden = true;
    keep($('activity'), changes, (one) => `${one.position} ${one.collection} ${one.id} ${one.author} ${one.seq}`, (one) => h('li', {},
      h('time', { datetime: one.time, title: one.time }, new Date(one.time).toLocaleTimeString('en-GB')),
      h('span', { class: 'what' }, one.id, ' ', h('span', { class: 'chip' }, one.collection)),
      h('span', { class: 'by' }, one.local ? 'here' : `by ${who(one.author)}`)));
  }, 250);
}

/** A page of the event log. */
const EVENTS_PAGE = 1000;

let eventsAfter = null;
const events = [];

/** The event log, of nodes that keep one: what came since it was last asked for. */
async function refreshEvents() {
  for (;;) {
    const since = eventsAfter === null ? '' : `?since=${eventsAfter}`;
    const { data, status: code } = await ask('GET', `/events${since}`, { also: 404 });
    if (code === 404) return false;
    events.unshift(...data.events.toReversed());
    events.length = Math.min(events.length, SHOWN_CHANGES);
    eventsAfter = data.next;
    if (data.events.length < EVENTS_PAGE) break;
  }
  $('events-panel').hidden = events.length === 0;
  const about = (one) => [one.what, typeof one.seconds === 'number' ? `after ${lasting(one.seconds)}` : null, one.count ? count(one.count) : null].filter(Boolean).join(' · ');
  keep($('events'), events, (one) => one.number, (one) => h('li', {},
    h('time', { datetime: one.time, title: one.time }, new Date(one.time).toLocaleTimeString('en-GB')),
    h('span', { class: 'what' }, h('b', {}, one.kind.replaceAll('-', ' ')), one.collection ? h('span', { class: 'chip' }, one.collection) : null, about(one) ? h('span', { class: 'sub' }, about(one)) : null),
    h('span', { class: 'by' }, one.node ? who(one.node) : '')));
  return true;
}

// ---- the beat ----

const past = new History();
const plots = [
  new Plot('Transactions applied', [{ of: 'transactions', name: 'applied' }], (n, tick) => (tick ? tickOf(n) : `${rate(n)} per second`), { least: 4 }),
  new Plot('Over all links', [{ of: 'received', name: 'received' }, { of: 'sent', name: 'sent' }], (n, tick) => (tick ? bytes(n) : `${bytes(n)}/s`), { least: 1024, binary: true }),
  new Plot('Farthest behind', [{ of: 'lag', name: 'behind' }], (n, tick) => (tick ? tickOf(n) : many(n, 'transaction')), { least: 4 }),
];

/** A figure beside an axis. */
function tickOf(n) {
  return n >= 1000 ? `${(n / 1000).toFixed(n >= 10000 ? 0 : 1)}k` : Number.isInteger(n) ? String(n) : n.toFixed(1);
}

/** What the node pushed last, and when; null without a socket. */
let pushed = null;

/** How the node is now: as it said, as long as it says when that changes. */
async function latest() {
  if (!pushed) return get('/status');
  const { told, at } = pushed;
  const seconds = Math.round((performance.now() - at) / 1000);
  return { ...told, running: { ...told.running, uptime_s: told.running.uptime_s + seconds } };
}

async function tick() {
  status = await latest();
  await refreshRoster();
  past.note(status);
  showAll();
}

/** Something has changed: it is shown at once, what is asked beside it with the next beat. */
function push(told) {
  pushed = told && { told, at: performance.now() };
  if (!told || !status) return;
  status = told;
  showAll();
}

function showAll() {
  const all = peers();
  showAbout();
  showTiles(all);
  showMap(all);
  showLinks(all);
  showCollections(all);
  showHolds();
  showRefused();
  plots.forEach((plot) => plot.update(past.samples));
}

function showLive(good, word) {
  show($('live'), [good, word], () => [state(good ? 'good' : 'bad', word)]);
}

let reached = true;
let following = false;
let tape = null;
let tapeSign = '';
let healthAt = 0;
let hasEvents = null;

async function beat() {
  try {
    await tick();
    reached = true;
    showLive(true, following && pushed ? 'live' : 'asked each second');
    if (Date.now() - healthAt > HEALTH_EVERY_MS) {
      healthAt = Date.now();
      showHealth((await ask('GET', '/health', { also: 503 })).data);
      if (hasEvents !== false) hasEvents = await refreshEvents();
    }
    await refreshConflicts();
    await refreshDigests();
    const sign = `${status.position} ${Math.floor(Date.now() / 10000)}`;
    if (sign !== tapeSign) {
      tapeSign = sign;
      await tape.refresh();
    }
  } catch (error) {
    if (error instanceof Failure && error.status === 0) {
      reached = false;
      showLive(false, 'no answer');
      tile('tile-health', 'Health', 'bad', 'No answer', 'The node is down, or can’t be reached from here');
    } else {
      showLive(false, 'failed');
      toast(error.message, { bad: true });
    }
  }
}

async function start() {
  $('plots').append(...plots.map((plot) => plot.element));
  tape = new TapePanel($('tape'), who);
  new ResizeObserver(([entry]) => { width = Math.floor(entry.contentRect.width); if (status) showMap(peers()); }).observe($('map-title').parentNode);
  $('online').addEventListener('click', async () => {
    const online = $('online').getAttribute('aria-checked') !== 'true';
    await tried(() => ask('POST', online ? '/links/resume' : '/links/pause', { body: {} }));
    healthAt = 0;
    await beat();
  });
  await beat();
  new Feed({ give: 'changes' }, { changed, alive: (is) => { following = is; }, status: push });
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, reached ? EVERY_MS : 2 * EVERY_MS));
    if (document.hidden) await new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }));
    await beat();
  }
}

start();
