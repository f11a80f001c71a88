// Notes: what the tutorial does, for people. Each note is a document of the collection `notes`:
// `{"title", "text", "tags": {"$set": [..]}, "done"}`.
//
// What is typed is put with the version that its writer had seen. So what came in between, from
// another tab or from a peer, is never overwritten by somebody who has not seen it: it becomes a
// conflict, and both are kept until somebody settles it. A field in conflict is not typed into.

import { Failure, Feed, ask, documentPath, get } from './api.js';
import { conflict } from './conflict.js';
import { $, Seldom, count, h, keep, many, plainly, short, show, state, toast, tried } from './dom.js';

const COLLECTION = 'notes';
const SAVE_AFTER_MS = 500;
const ASK_EVERY_MS = 1200;
const SHOWN = 300;

const notes = new Map();
let conflicts = new Map();
let names = new Map();
let self = '';
let tagWanted = null;
let open = null;

const who = (key) => names.get(key) || (key === self ? 'this node' : short(key));
const text = (value) => (value === undefined || value === null ? '' : typeof value === 'string' ? value : plainly(value));
const tagsOf = (doc) => (Array.isArray(doc?.tags?.$set) ? doc.tags.$set.map(text) : []);

// ---- the list ----

function matches(doc, words) {
  if (tagWanted && !tagsOf(doc).includes(tagWanted)) return false;
  const all = `${text(doc.title)}\n${text(doc.text)}\n${tagsOf(doc).join('\n')}`.toLowerCase();
  return words.every((word) => all.includes(word));
}

function showList() {
  const words = $('search').value.toLowerCase().split(/\s+/).filter(Boolean);
  const newest = ([a, x], [b, y]) => Number(x.done === true) - Number(y.done === true) || (a < b ? 1 : -1);
  const all = [...notes].filter(([, doc]) => matches(doc, words)).sort(newest);
  const items = all.slice(0, SHOWN).map(([id, doc]) => ({
    id, title: text(doc.title) || 'Without a title', start: text(doc.text).slice(0, 120).replace(/\s+/g, ' '),
    tags: tagsOf(doc), done: doc.done === true, conflicts: conflicts.get(id)?.length ?? 0, open: id === open?.id,
  }));
  keep($('notes'), items, (item) => item.id, (item) => h('li', { class: [item.done && 'done', item.open && 'open'].filter(Boolean).join(' ') },
    h('input', { type: 'checkbox', checked: item.done, 'aria-label': `Done: ${item.title}`, onchange: (event) => mark(item.id, event.target.checked) }),
    h('button', { 'aria-current': item.open ? 'true' : null, onclick: () => go(item.id) },
      h('b', {}, item.title),
      item.start ? h('span', { class: 'start' }, item.start) : null,
      h('span', { class: 'marks' },
        item.conflicts ? h('span', { class: 'chip warn' }, '▲ two versions') : null,
        ...item.tags.map((tag) => h('span', {}, `#${tag}`))))));
  const nothing = notes.size === 0 ? 'none' : all.length === 0 ? 'unmatched' : all.length > SHOWN ? 'more' : '';
  $('none').hidden = !nothing;
  show($('none'), [nothing, all.length], () => ({
    none: [h('strong', {}, 'No notes yet'), 'What you write here is kept on this node first, and goes to its peers when they are in reach.', h('div', {}, h('button', { onclick: () => write() }, 'Write the first one'))],
    unmatched: [h('strong', {}, 'Nothing found'), h('button', { onclick: clear }, 'Show all notes')],
    more: [`${count(all.length - SHOWN)} more: search for them.`],
  })[nothing] ?? []);
  showTags();
}

function clear() {
  $('search').value = '';
  tagWanted = null;
  showList();
  $('search').focus();
}

function showTags() {
  const counts = new Map();
  for (const doc of notes.values()) for (const tag of tagsOf(doc)) counts.set(tag, (counts.get(tag) ?? 0) + 1);
  if (tagWanted && !counts.has(tagWanted)) tagWanted = null;
  const most = [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1)).slice(0, 12);
  const items = most.map(([tag]) => ({ tag, pressed: tag === tagWanted }));
  keep($('tags'), items, (item) => item.tag, (item) => h('button', {
    'aria-pressed': String(item.pressed),
    onclick: () => {
      tagWanted = item.pressed ? null : item.tag;
      showList();
      [...$('tags').children].find((child) => child.dataset.key === item.tag)?.focus();
    },
  }, item.tag));
}

// ---- one note ----

/** A note that is open: what it was when its writer saw it last, and what was typed since. */
class Draft {
  constructor(id) {
    Object.assign(this, { id, doc: {}, version: null, typed: {}, busy: null, timer: null, failed: false });
  }

  get isNew() {
    return this.version === null;
  }

  /** Reads it anew, if nothing was typed that is not saved. */
  async read() {
    if (this.busy || Object.keys(this.typed).length) return;
    const { data, version, status } = await ask('GET', documentPath(COLLECTION, this.id), { also: 404 });
    if (status === 404) {
      if (!this.isNew) gone(this);
      return;
    }
    if (this.busy || Object.keys(this.typed).length) return;
    await this.adopt(data, version);
  }

  /** From now on this is what its writer has seen, conflicts included: those are asked for first. */
  async adopt(doc, version) {
    const found = await conflictsOf(this.id);
    Object.assign(this, { doc, version });
    conflicts.set(this.id, found);
    notes.set(this.id, doc);
    if (open === this) showNote();
    showList();
  }

  type(field, value) {
    this.typed[field] = value;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), SAVE_AFTER_MS);
    if (open === this) showSaved();
  }

  /** Writes what was typed. Others wait for what is under way. */
  async save() {
    clearTimeout(this.timer);
    while (this.busy) await this.busy;
    const inConflict = new Set((conflicts.get(this.id) ?? []).map((one) => one.path.slice(1)));
    const sent = Object.fromEntries(Object.entries(this.typed).filter(([field]) => !inConflict.has(field)));
    if (!Object.keys(sent).length) return;
    await this.does(async () => {
      const headers = this.isNew ? { 'If-None-Match': '*' } : { 'If-Match': this.version };
      const { data, version } = await ask('PUT', documentPath(COLLECTION, this.id), { body: { ...this.doc, ...sent }, headers });
      for (const [field, value] of Object.entries(sent)) if (this.typed[field] === value) delete this.typed[field];
      await this.adopt(data, version);
    });
    if (!this.failed && Object.keys(this.typed).length) this.timer = setTimeout(() => this.save(), SAVE_AFTER_MS);
  }

  /** One thing after another. */
  async does(work) {
    let over;
    this.busy = new Promise((resolve) => { over = resolve; });
    try {
      await work();
      this.failed = false;
    } catch (error) {
      this.failed = true;
      toast(error.message, { bad: true });
    } finally {
      this.busy = null;
      over();
      if (open === this) showSaved();
    }
  }

  /** Adds a tag, or takes one away. */
  async tag(verb, value) {
    await this.save();
    while (this.busy) await this.busy;
    if (this.isNew) {
      this.typed.tags = { $set: [value] };
      return this.save();
    }
    return this.does(async () => {
      const { data, version } = await ask('POST', `${documentPath(COLLECTION, this.id)}/${verb}`, { body: { path: '/tags', value } });
      await this.adopt(data, version);
    });
  }
}

async function conflictsOf(id) {
  const query = `collection=${COLLECTION}&id=${encodeURIComponent(id)}`;
  const { data, status } = await ask('GET', `/conflicts?${query}`, { also: 404 });
  return status === 404 ? [] : data.conflicts;
}

function showSaved() {
  if (!open) return;
  const waiting = Object.keys(open.typed).length > 0;
  $('saved').textContent = open.failed && waiting ? 'Not saved' : waiting || open.busy ? 'Saving …' : open.isNew ? '' : 'Saved';
}

/** The title is as high as it is long. */
function grow() {
  const title = $('title');
  title.style.height = 'auto';
  title.style.height = `${title.scrollHeight}px`;
}

function put(field, value) {
  const input = $(field);
  if (input.value === value) return;
  const { selectionStart, selectionEnd } = input;
  input.value = value;
  if (document.activeElement === input) input.setSelectionRange(selectionStart, selectionEnd);
}

function showNote() {
  const here = open !== null;
  document.body.dataset.view = here ? 'note' : 'list';
  $('editor').hidden = !here;
  $('nothing').hidden = here;
  document.title = here ? `${text(open.doc.title) || 'New note'} · Notes` : 'Notes · Littoral';
  if (!here) return;
  const found = conflicts.get(open.id) ?? [];
  const inConflict = new Set(found.map((one) => one.path.slice(1)));
  for (const field of ['title', 'text']) {
    // What was typed into a field while it came into conflict is offered there.
    if (!(field in open.typed) || inConflict.has(field)) put(field, text(open.doc[field]));
    $(field).readOnly = inConflict.has(field);
  }
  grow();
  const done = open.doc.done === true;
  $('done').setAttribute('aria-pressed', String(done));
  $('done').textContent = done ? '✓ Done' : 'Mark done';
  keep($('note-tags'), tagsOf(open.doc), (tag) => tag, (tag) => h('li', {}, tag,
    h('button', { type: 'button', 'aria-label': `Take the tag ${tag} away`, onclick: () => open.tag('remove', tag) }, '×')));
  showConflicts(found);
  showSaved();
}

function showConflicts(found) {
  const box = $('conflicts');
  box.hidden = found.length === 0;
  show(box, [open.id, found], () => [
    h('p', {}, h('b', {}, '▲ This note has two versions.'), ' It was changed on two sides that did not know of each other. Nothing is lost: choose.'),
    ...found.map((one) => {
      const field = one.path.slice(1);
      const mine = open.typed[field];
      delete open.typed[field];
      return conflict(one, {
        who, mine,
        where: [h('span', { class: 'where' }, { title: 'The title', text: 'The text', done: 'Whether it is done' }[field] ?? (field || 'The note'))],
        done: () => tried(() => open?.read()),
      });
    }),
  ]);
}

function gone(draft) {
  if (draft.removed) return;
  notes.delete(draft.id);
  if (open === draft) {
    toast('This note was deleted.');
    leave();
  }
  showList();
}

// ---- what people do ----

/** Opens a note; the address says which, so that going back works. */
function go(id) {
  const hash = `#${encodeURIComponent(id)}`;
  if (location.hash === hash) openNote(id);
  else location.hash = hash;
}

function leave() {
  if (location.hash) history.pushState(null, '', location.pathname);
  openNote(null);
}

function openNote(id) {
  if (open?.id === id) return;
  open?.save();
  const before = open?.id;
  open = id === null ? null : new Draft(id);
  if (open && notes.has(id)) open.doc = notes.get(id);
  if (open) tried(() => open.read());
  showNote();
  showList();
  if (!open && before) [...$('notes').children].find((one) => one.dataset.key === before)?.querySelector('button').focus();
}

function write() {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  const chance = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  go(`${new Date().toISOString().slice(0, 19).replace(/[-:T]/g, '')}-${chance}`);
  setTimeout(() => $('title').focus());
}

async function mark(id, done) {
  if (open?.id === id) {
    open.type('done', done);
    return open.save();
  }
  const answer = await tried(() => ask('PATCH', documentPath(COLLECTION, id), { body: { done } }));
  if (answer) notes.set(id, answer.data);
  return showList();
}

async function remove() {
  const draft = open;
  await draft.save();
  const { doc, id, version, isNew } = draft;
  if (isNew) return leave();
  draft.removed = true;
  const answer = await tried(() => ask('DELETE', documentPath(COLLECTION, id), { headers: { 'If-Match': version } }));
  draft.removed = Boolean(answer) && !answer.data;
  if (!answer) return undefined;
  if (answer.data) {
    toast('It was changed elsewhere meanwhile. That is kept.');
    return draft.read();
  }
  notes.delete(id);
  leave();
  toast(`“${text(doc.title) || 'Without a title'}” is deleted.`, {
    action: 'Undo',
    run: () => tried(async () => {
      const { data } = await ask('PUT', documentPath(COLLECTION, id), { body: doc });
      notes.set(id, data);
      showList();
      go(id);
    }),
  });
  return showList();
}

// ---- the node ----

async function load() {
  const found = new Map();
  let after = '';
  do {
    const query = after === '' ? '' : `&after=${encodeURIComponent(after)}`;
    const { data, status } = await ask('GET', `/collections/${COLLECTION}/docs?limit=1000${query}`, { also: 404 });
    if (status === 404) break;
    for (const { id, doc } of data.documents) found.set(id, doc);
    after = data.next;
  } while (after);
  notes.clear();
  for (const [id, doc] of found) notes.set(id, doc);
  await loadConflicts();
}

async function loadConflicts() {
  const { data, status } = await ask('GET', `/conflicts?collection=${COLLECTION}`, { also: 404 });
  conflicts = new Map();
  for (const one of status === 404 ? [] : data.conflicts) {
    conflicts.set(one.id, [...(conflicts.get(one.id) ?? []), one]);
  }
  showList();
}

const conflictsSeldom = new Seldom(loadConflicts, 100);
const listSeldom = new Seldom(showList, 30);

function changed(change) {
  if (change.doc === null) notes.delete(change.id);
  else if (change.doc !== undefined) notes.set(change.id, change.doc);
  if (open?.id === change.id) tried(() => open.read());
  conflictsSeldom.ask();
  listSeldom.ask();
}

async function look() {
  let status;
  try {
    status = await get('/status');
  } catch (error) {
    if (!(error instanceof Failure) || error.status !== 0) throw error;
    show($('sync'), 'down', () => [state('bad', 'The node does not answer')]);
    return;
  }
  const { offline, links, standings } = status.running;
  self = status.node;
  $('online').setAttribute('aria-checked', String(!offline));
  $('online-word').textContent = offline ? 'Offline' : 'Online';
  const waiting = standings.filter((one) => one.collection === COLLECTION).reduce((most, one) => Math.max(most, one.lag_transactions), 0);
  const up = links.filter((link) => link.state === 'connected');
  const told = offline ? ['idle', waiting ? `${many(waiting, 'change')} to send` : 'Nothing to send']
    : !links.length ? ['idle', 'On this node alone']
    : !up.length ? ['warn', `No peer in reach${waiting ? `, ${many(waiting, 'change')} to send` : ''}`]
    : waiting ? ['warn', `Sending ${many(waiting, 'change')}`]
    : up.every((link) => link.synced) ? ['good', `In sync with ${up.length === 1 ? who(up[0].peer) : many(up.length, 'peer')}`]
    : ['warn', 'Syncing'];
  show($('sync'), told, () => [state(...told)]);
}

async function loadNames() {
  const roster = await get('/roster');
  names = new Map(roster.members.filter((one) => one.name).map((one) => [one.node, one.name]));
  self = roster.node;
  $('node').hidden = !names.has(self);
  $('node').textContent = names.get(self) ?? '';
}

// ---- wiring ----

$('search').addEventListener('input', showList);
$('new').addEventListener('click', write);
$('back').addEventListener('click', leave);
$('delete').addEventListener('click', remove);
$('done').addEventListener('click', () => mark(open.id, open.doc.done !== true));
for (const field of ['title', 'text']) {
  $(field).addEventListener('input', () => open?.type(field, $(field).value));
  $(field).addEventListener('blur', () => open?.save());
}
$('title').addEventListener('input', grow);
window.addEventListener('resize', grow);
$('title').addEventListener('keydown', (event) => {
  if (event.key === 'Enter') {
    event.preventDefault();
    $('text').focus();
  }
});
$('tagging').addEventListener('submit', (event) => {
  event.preventDefault();
  const tag = $('tag').value.trim().replace(/^#/, '');
  $('tag').value = '';
  if (tag) open.tag('add', tag);
});
$('online').addEventListener('click', async () => {
  const online = $('online').getAttribute('aria-checked') !== 'true';
  await open?.save();
  await tried(() => ask('POST', online ? '/links/resume' : '/links/pause', { body: {} }));
  await tried(look);
});
document.addEventListener('keydown', (event) => {
  const typing = event.target.closest('input:not([type="checkbox"]), textarea, dialog');
  if (event.key === 'Escape' && open && !event.target.closest('dialog')) {
    event.preventDefault();
    leave();
  } else if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && (event.key === 'n' || event.key === '/')) {
    event.preventDefault();
    if (event.key === 'n') write();
    else $('search').focus();
  }
});
function byAddress() {
  try {
    openNote(location.hash.length > 1 ? decodeURIComponent(location.hash.slice(1)) : null);
  } catch {
    // The address was typed, and is none.
    leave();
  }
}

window.addEventListener('hashchange', byAddress);
window.addEventListener('popstate', byAddress);
document.addEventListener('visibilitychange', () => { if (document.hidden) open?.save(); });
window.addEventListener('pagehide', () => open?.save());

async function start() {
  await tried(loadNames);
  await tried(load);
  byAddress();
  new Feed({ collections: [COLLECTION], give: 'documents' }, { changed, resync: () => tried(load) });
  for (;;) {
    await tried(look);
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
    if (document.hidden) await new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }));
  }
}

start();
