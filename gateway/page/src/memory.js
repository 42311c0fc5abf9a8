// What a tab remembers over a reload: who it is, its key, and the call that goes on. Storage and chance are given.

const TAB = 'voicesession.tab';
const KEY = 'voicesession.key';
const CALL = 'voicesession.call';

/** A call that was left longer ago than this is not offered any more, in milliseconds. */
export const FRESH = 120_000;

export class Memory {
  constructor(storage, randomId, now) {
    Object.assign(this, { storage, now });
    this.tab = storage.getItem(TAB) ?? randomId();
    storage.setItem(TAB, this.tab);
  }

  get identity() {
    return `guest-${this.tab}`;
  }

  /** The same tab and agent have one conversation after another under one name: a reload joins the one that lives. */
  roomName(agent) {
    return `page-${this.tab}-${agent}`;
  }

  get key() {
    return this.storage.getItem(KEY) ?? '';
  }

  set key(value) {
    if (value) this.storage.setItem(KEY, value);
    else this.storage.removeItem(KEY);
  }

  get call() {
    try {
      return JSON.parse(this.storage.getItem(CALL));
    } catch {
      return null;
    }
  }

  /** The call with this agent goes on, as of now. */
  keepCall(agent, muted) {
    this.storage.setItem(CALL, JSON.stringify({ agent, muted, at: this.now() }));
  }

  forgetCall() {
    this.storage.removeItem(CALL);
  }
}

/**
 * What to do with a remembered call when the page opens: `continue` after a reload, `offer` where the tab came back
 * in another way and the call is recent, else `none`. `navigation` is PerformanceNavigationTiming.type.
 */
export function arrival(call, navigation, now) {
  if (!call) return 'none';
  if (navigation === 'reload') return 'continue';
  return now - call.at < FRESH ? 'offer' : 'none';
}

/** Agents in the order of the list, the one to choose first: `asked` for by ?agent=, else the gateway's default. */
export function choose(agents, asked, byDefault) {
  const known = (name) => agents.some((agent) => agent.name === name);
  return [asked, byDefault, agents[0]?.name].find((name) => name && known(name)) ?? '';
}

/** The default agent first, the others by the names that people read. */
export function ordered(agents, byDefault) {
  const rank = (agent) => (agent.name === byDefault ? 0 : 1);
  return agents.toSorted((a, b) => rank(a) - rank(b) || titleOf(a).localeCompare(titleOf(b)));
}

export const titleOf = (agent) => agent.displayName || agent.name;
