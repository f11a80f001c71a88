// Checkpoints: what they cost, what has changed since, and the way back, which is shown before it
// is gone.

import { ask, get, lines } from './api.js';
import { bytes, count, dialog, h, keep, many, moment, plainly, tried, toast } from './dom.js';

/** Of a long list, so many are shown; the rest is counted. */
const SHOWN = 200;

export class TapePanel {
  constructor(element, who) {
    Object.assign(this, { element, who });
    this.label = h('input', { 'aria-label': 'Name of the checkpoint', placeholder: 'before the import', required: true, maxlength: '128' });
    this.form = h('form', { class: 'inline', onsubmit: (event) => this.make(event) }, this.label, h('button', { type: 'submit' }, 'Make a checkpoint'));
    this.rows = h('ul', { class: 'rows' });
    this.none = h('p', { class: 'empty' }, h('strong', {}, 'No checkpoints'), 'One marks this moment: later you see what has changed since, and can bring it back. It copies nothing.');
    element.append(this.form, this.none, this.rows);
  }

  async refresh() {
    const { checkpoints } = await get('/checkpoints');
    this.none.hidden = checkpoints.length > 0;
    keep(this.rows, checkpoints.toReversed(), (one) => one.label, (one) => this.row(one));
  }

  row(one) {
    const kept = one.rows === 0 ? 'nothing has changed since' : `${many(one.rows, 'row')} kept, ${bytes(one.bytes)}`;
    return h('li', {},
      h('div', { class: 'what' },
        h('b', { title: one.label }, one.automatic ? one.label.replace(/^auto: /, '').replace(/ \d{4}-\d\d-\d\dT\S+$/, '') : one.label), one.automatic ? h('span', { class: 'chip' }, 'automatic') : null,
        h('p', {}, moment(one.made), ` · ${kept}`)),
      h('div', { class: 'acts' },
        h('button', { class: 'small', onclick: () => this.differences(one) }, 'What changed'),
        h('button', { class: 'small', onclick: () => this.revert(one) }, 'Revert…'),
        h('button', { class: 'small', onclick: () => this.hold(one) }, 'Hold…'),
        h('button', { class: 'small', disabled: !one.log_held, title: one.log_held ? null : 'The log no longer reaches back to it', onclick: () => this.replay(one) }, 'Replay…'),
        h('button', { class: 'small danger', 'aria-label': `Delete the checkpoint ${one.label}`, onclick: () => this.remove(one) }, 'Delete')));
  }

  async make(event) {
    event.preventDefault();
    const label = this.label.value.trim();
    if (await tried(() => ask('POST', '/checkpoint', { body: { label } }))) {
      this.label.value = '';
      toast(`The checkpoint “${label}” is made.`);
    }
    await tried(() => this.refresh());
  }

  remove(one) {
    dialog(`Delete “${one.label}”?`, `That frees ${bytes(one.freed_bytes)}. Documents stay as they are; what was before can no longer be read.`, (close) => [
      h('footer', {},
        h('button', { onclick: close }, 'Keep it'),
        h('button', { class: 'danger', onclick: async () => {
          await tried(() => ask('DELETE', `/checkpoints/${encodeURIComponent(one.label)}`));
          close();
          await tried(() => this.refresh());
        } }, 'Delete')),
    ], { narrow: true });
  }

  differences(one) {
    const list = new Differences(this.who, 'at the checkpoint', 'now');
    dialog(`What changed since “${one.label}”`, null, (close) => [
      h('div', { class: 'body' }, list.element),
      h('footer', {}, h('button', { onclick: close }, 'Close')),
    ]);
    list.read(() => lines('GET', `/diff?from=${encodeURIComponent(one.label)}`));
  }

  revert(one) {
    const list = new Differences(this.who, 'now', 'after it');
    let closed = false;
    const go = h('button', { class: 'primary', disabled: true }, 'Revert');
    const element = dialog(`Revert to “${one.label}”`, 'This is what would be written. It is written as edits, so it goes to the peers too, and can be taken back.', (close) => {
      go.addEventListener('click', async () => {
        go.disabled = true;
        const done = await tried(async () => {
          let last = null;
          for await (const line of lines('POST', '/revert', { label: one.label })) {
            if (line.progress) list.told.textContent = `${many(line.progress, 'document')} are back …`;
            last = line.done ?? last;
          }
          return last;
        });
        if (done) toast(`${many(done.documents, 'document')} ${done.documents === 1 ? 'is' : 'are'} as at “${one.label}”.`);
        close();
        await tried(() => this.refresh());
      });
      return [h('div', { class: 'body' }, list.element), h('footer', {}, h('button', { onclick: close }, 'Leave it as it is'), go)];
    });
    element.addEventListener('close', () => { closed = true; });
    list.read(() => lines('POST', '/revert', { label: one.label, dry_run: true })).then((total) => {
      if (closed) return;
      go.disabled = !total;
      if (total) go.textContent = `Revert ${many(total, 'document')}`;
    });
  }

  hold(one) {
    dialog(`Hold at “${one.label}”?`, 'All collections show what they did then, and what is written here from now on. Nothing is undone, and nothing is exchanged with peers, until it is let go.', (close) => [
      h('footer', {},
        h('button', { onclick: close }, 'Leave it as it is'),
        h('button', { class: 'primary', onclick: async () => {
          await tried(() => ask('POST', '/hold', { body: { label: one.label } }));
          close();
        } }, 'Hold')),
    ], { narrow: true });
  }

  replay(one) {
    const list = new Differences(this.who, 'the store shows', 'the log gives');
    const go = h('button', { class: 'primary' }, 'Replay');
    list.told.textContent = 'The log after the checkpoint is applied again, beside the store, and compared with what the store shows. Documents whose rows were damaged are put right; nothing else is changed.';
    dialog(`Replay from “${one.label}”`, null, (close) => {
      go.addEventListener('click', async () => {
        go.hidden = true;
        await list.read(() => lines('POST', '/rollback', { label: one.label }), (replay) => {
          const outcomes = {
            same: 'The log gives what the store shows.',
            mended: `${many(replay.mended, 'document')} had been damaged and were put right.`,
            differs: 'What the log gives differs from what the store shows. Nothing was changed.',
          };
          return `${outcomes[replay.outcome] ?? replay.outcome} ${many(replay.transactions, 'transaction')} on ${many(replay.documents, 'document')}, in ${count(replay.ms)} ms.`;
        });
      });
      return [h('div', { class: 'body' }, list.element), h('footer', {}, h('button', { onclick: close }, 'Close'), go)];
    });
  }
}

/** Documents that differ, as they come. */
class Differences {
  constructor(who, before, after) {
    Object.assign(this, { who, before, after });
    this.told = h('p', { class: 'told', role: 'status' });
    this.list = h('ul', { class: 'differences' });
    this.element = h('div', {}, this.told, this.list);
  }

  /** Reads all lines; gives how many documents differ. */
  async read(make, replayed) {
    let total = 0;
    let said = '';
    this.told.textContent = 'Reading …';
    const done = await tried(async () => {
      let end = null;
      for await (const line of make()) {
        if (line.replay) said = replayed(line.replay);
        if (line.change) {
          total += 1;
          if (total <= SHOWN) this.list.append(this.one(line.change));
          if (total % 100 === 0) this.told.textContent = `${many(total, 'document')} …`;
        }
        end = line.done ?? end;
      }
      return end;
    });
    if (!done) {
      this.told.textContent = 'It ended with an error.';
      return 0;
    }
    const beyond = total > SHOWN ? ` The first ${count(SHOWN)} are shown.` : '';
    this.told.textContent = said || (total === 0 ? 'Nothing differs.' : `${many(total, 'document')} ${total === 1 ? 'differs' : 'differ'}.${beyond}`);
    return total;
  }

  one({ collection, id, before, after, kept }) {
    const what = before === null ? 'added' : after === null ? 'deleted' : 'changed';
    const rows = fields(before, after).slice(0, SHOWN).map(([name, old, fresh]) =>
      h('tr', {}, h('th', { scope: 'row' }, name), cell(old, this.before), cell(fresh, this.after)));
    return h('li', {},
      h('p', {}, h('b', {}, id), ` in ${collection} `, h('span', { class: 'chip' }, what), kept?.length ? h('span', { class: 'chip warn' }, `${many(kept.length, 'field')} kept, changed by others`) : null),
      h('table', {}, h('thead', {}, h('tr', {}, h('td', {}), h('th', { scope: 'col' }, this.before), h('th', { scope: 'col' }, this.after))), h('tbody', {}, rows)));
  }
}

function cell(value, label) {
  return value === undefined ? h('td', { class: 'none', 'data-label': label }, 'not there') : h('td', { 'data-label': label }, plainly(value));
}

/** The fields in which two documents differ. */
function fields(before, after) {
  const [old, fresh] = [before ?? {}, after ?? {}];
  const names = [...new Set([...Object.keys(old), ...Object.keys(fresh)])];
  const at = (of, name) => (Object.hasOwn(of, name) ? of[name] : undefined);
  return names
    .filter((name) => JSON.stringify(at(old, name)) !== JSON.stringify(at(fresh, name)))
    .map((name) => [name, at(old, name), at(fresh, name)]);
}
