// What the node told over the last minutes, as rates: kept in this page, and gone with it.

const KEPT_MS = 10 * 60 * 1000;

export class History {
  constructor() {
    this.samples = [];
    this.last = null;
    this.links = new Map();
    this.moved = { sent: 0, received: 0 };
  }

  /** Takes note of a status. */
  note(status, now = Date.now()) {
    this.moveLinks(status.running.links);
    const transactions = status.collections.reduce((sum, one) => sum + one.transactions, 0);
    const totals = { at: now, transactions, ...this.moved };
    const lag = status.running.standings.reduce((most, one) => Math.max(most, one.lag_transactions), 0);
    if (this.last && now > this.last.at) {
      const seconds = (now - this.last.at) / 1000;
      const grown = (name) => Math.max(0, totals[name] - this.last[name]) / seconds;
      // Whoever was away for long has seen nothing of what was between.
      const gap = seconds > 15;
      this.samples.push({ at: now, gap, transactions: grown('transactions'), sent: grown('sent'), received: grown('received'), lag });
    }
    this.last = totals;
    this.samples = this.samples.filter((sample) => now - sample.at <= KEPT_MS);
  }

  /** Links come and go and count from zero each; here is the sum, which only grows. */
  moveLinks(links) {
    const seen = new Map();
    links.forEach((link, at) => {
      const name = `${link.peer} ${link.address} ${link.incoming} ${seen.has(`${link.peer} ${link.address} ${link.incoming}`) ? at : ''}`;
      const before = this.links.get(name) ?? { sent: this.last ? 0 : link.sent_bytes, received: this.last ? 0 : link.received_bytes };
      const grown = (then, now) => (now >= then ? now - then : now);
      this.moved.sent += grown(before.sent, link.sent_bytes);
      this.moved.received += grown(before.received, link.received_bytes);
      seen.set(name, { sent: link.sent_bytes, received: link.received_bytes });
    });
    this.links = seen;
  }
}
