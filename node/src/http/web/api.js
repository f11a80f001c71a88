// Talking to the node: requests, answers in lines, and the socket on which changes come.
//
// Where a token is needed, a person is asked for it, and it is kept for this tab alone
// (sessionStorage): it is gone when the tab is.

import { dialog, h } from './dom.js';

const KEPT_AS = 'littoral.token';

export class Failure extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

let asking = null;

function askForToken(why) {
  asking ??= new Promise((resolve) => {
    const input = h('input', { type: 'password', autocomplete: 'off', spellcheck: 'false', id: 'token', required: true });
    const error = h('p', { class: 'bad-text', role: 'alert' }, sessionStorage.getItem(KEPT_AS) ? why : '');
    const given = (event) => {
      event.preventDefault();
      const token = input.value.trim();
      if (!/^[A-Za-z0-9_.-]+$/.test(token)) {
        error.textContent = 'A token is of letters, digits and underscores.';
        return;
      }
      sessionStorage.setItem(KEPT_AS, token);
      element.close();
    };
    const element = dialog('This node asks for a token', 'It is kept in this tab, and forgotten when that is closed.', () => [
      h('form', { class: 'body', id: 'token-form', onsubmit: given },
        h('label', { class: 'field' }, h('span', {}, 'Token'), input),
        error,
        h('p', { class: 'empty' }, 'On the node, ', h('code', {}, 'littoral token create --name NAME --rights admin'), ' makes one. With rights to read it shows, with those to write it edits.')),
      h('footer', {}, h('button', { class: 'primary', type: 'submit', form: 'token-form' }, 'Go on')),
    ], { narrow: true });
    // Without one there is nothing to see.
    element.addEventListener('cancel', (event) => event.preventDefault());
    element.addEventListener('close', () => { asking = null; resolve(); });
  });
  return asking;
}

async function request(method, path, { body, headers = {} } = {}) {
  for (;;) {
    const token = sessionStorage.getItem(KEPT_AS);
    const all = { ...headers };
    if (token) all.Authorization = `Bearer ${token}`;
    if (method !== 'GET') all['Content-Type'] = 'application/json';
    let answer;
    try {
      const sent = body === undefined ? undefined : JSON.stringify(body);
      // What is small gets there even if the page is closed meanwhile.
      const keepalive = method !== 'GET' && (sent?.length ?? 0) < 8000;
      answer = await fetch(path, { method, headers: all, body: sent, cache: 'no-store', keepalive });
    } catch {
      throw new Failure(0, 'unreachable', 'The node does not answer.');
    }
    if (answer.status !== 401) return answer;
    const told = await failure(answer);
    // Somebody else may have been asked meanwhile.
    if (token === sessionStorage.getItem(KEPT_AS)) await askForToken(told.message);
  }
}

async function failure(answer) {
  const told = await answer.json().catch(() => ({}));
  const error = told.error ?? {};
  return new Failure(answer.status, error.code ?? 'unknown', error.message ?? `The node answered with ${answer.status}.`);
}

/** An answer of JSON, and the version if it has one. `also` names a status that is no failure. */
export async function ask(method, path, { also, ...rest } = {}) {
  const answer = await request(method, path, rest);
  if (!answer.ok && answer.status !== also) throw await failure(answer);
  const data = answer.status === 204 ? null : await answer.json();
  return { data, version: answer.headers.get('ETag'), status: answer.status };
}

export const get = async (path) => (await ask('GET', path)).data;

/** An answer line by line. */
export async function* lines(method, path, body) {
  const answer = await request(method, path, { body });
  if (!answer.ok) throw await failure(answer);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  let ended = false;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      const parts = (rest + (value ?? '')).split('\n');
      rest = parts.pop();
      for (const part of parts) {
        const line = JSON.parse(part);
        if (line.error) throw new Failure(200, line.error.code, line.error.message);
        ended ||= Boolean(line.done);
        yield line;
      }
      if (done) break;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
  if (!ended) throw new Failure(200, 'cut', 'The answer was cut off.');
}

/** The path of a document; ids may hold anything. */
export function documentPath(collection, id) {
  const docs = `/collections/${encodeURIComponent(collection)}/docs`;
  return id === '.' || id === '..' || id === '' ? `${docs}?id=${encodeURIComponent(id)}` : `${docs}/${encodeURIComponent(id)}`;
}

/** How often a page is told how the node is, at most. */
const STATUS_EVERY_MS = 1000;

/**
 * Follows changes over a WebSocket, and again whenever it is cut, from where it was. With `status`
 * it is told how the node is as well, while the page is seen.
 */
export class Feed {
  constructor(wanted, { changed, resync = () => {}, alive = () => {}, status = null }) {
    Object.assign(this, { wanted, changed, resync, alive, status, since: 'now', wait: 500, position: null, socket: null });
    this.open();
    if (status) document.addEventListener('visibilitychange', () => this.watch());
  }

  /** Asks to be told how the node is, or not to be any more. */
  watch() {
    if (!this.status || this.socket?.readyState !== WebSocket.OPEN || this.watching === !document.hidden) return;
    this.watching = !document.hidden;
    this.status(null);
    const said = this.watching ? { watch: { id: 2, every_ms: STATUS_EVERY_MS } } : { unsubscribe: { id: 2 } };
    this.socket.send(JSON.stringify(said));
  }

  open() {
    const token = sessionStorage.getItem(KEPT_AS);
    const protocols = token ? ['littoral', `littoral.token.${token}`] : ['littoral'];
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(`${scheme}//${location.host}/ws`, protocols);
    this.socket = socket;
    this.watching = false;
    socket.onopen = () => {
      socket.send(JSON.stringify({ subscribe: { id: 1, since: this.position ?? 'now', ...this.wanted } }));
      this.watch();
    };
    socket.onmessage = (event) => this.hear(JSON.parse(event.data), socket);
    socket.onclose = () => {
      this.alive(false);
      this.status?.(null);
      setTimeout(() => this.open(), this.wait);
      this.wait = Math.min(this.wait * 2, 10000);
    };
  }

  hear(said, socket) {
    if (said.subscribed) {
      this.wait = 500;
      this.alive(true);
      // What changed before the first subscription was read by whoever made it, or is read now.
      if (this.position === null) this.resync();
    } else if (said.change) {
      this.position = said.change.position;
      this.changed(said.change);
    } else if (said.status) {
      this.status?.(said.status);
    } else if (said.resync) {
      this.position = said.resync.from;
      this.resync();
    } else if (said.failed) {
      // As a token that was taken back: the next request asks for another one.
      socket.close();
    }
  }
}
