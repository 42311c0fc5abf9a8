// Data that a tab keeps over a reload: identity, key, and the current call. Storage and random ids are injected.

const TAB = 'voicesession.tab';
const KEY = 'voicesession.key';
const CALL = 'voicesession.call';

/** Maximum age of a call that is still offered, in milliseconds. */
export const OFFER_MILLISECONDS = 120_000;

export class TabStorage {
  constructor(storage, randomId, now) {
    Object.assign(this, { storage, now });
    this.tab = storage.getItem(TAB) ?? randomId();
    storage.setItem(TAB, this.tab);
  }

  get identity() {
    return `guest-${this.tab}`;
  }

  /** All conversations of a tab with one agent share this name, so a reload joins the live one. */
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

  /** Save the current call with this agent and the current time. */
  saveCall(agent, muted) {
    this.storage.setItem(CALL, JSON.stringify({ agent, muted, at: this.now() }));
  }

  deleteCall() {
    this.storage.removeItem(CALL);
  }
}

/**
 * Return the action for a saved call when the page opens: `continue` after a reload, `offer` for a recent call after
 * any other navigation, else `none`. `navigation` is PerformanceNavigationTiming.type.
 */
export function actionOnLoad(call, navigation, now) {
  if (!call) return 'none';
  if (navigation === 'reload') return 'continue';
  return now - call.at < OFFER_MILLISECONDS ? 'offer' : 'none';
}

/** Return the agent to select: the `requested` one (?agent=), else the gateway's default, else the first. */
export function chooseAgent(agents, requested, defaultAgent) {
  const isKnown = (name) => agents.some((agent) => agent.name === name);
  return [requested, defaultAgent, agents[0]?.name].find((name) => name && isKnown(name)) ?? '';
}

/** Return the default agent first, then the others by their displayed names. */
export function sortAgents(agents, defaultAgent) {
  const rank = (agent) => (agent.name === defaultAgent ? 0 : 1);
  return agents.toSorted((a, b) => rank(a) - rank(b) || displayName(a).localeCompare(displayName(b)));
}

export const displayName = (agent) => agent.displayName || agent.name;
