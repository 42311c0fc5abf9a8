// What the state is called. Pure.
import { titleOf } from './memory.js';

const STAGE = {
  idle: () => 'Not connected',
  starting: (name) => `Waiting for ${name} …`,
  connecting: (name) => `${name} is there. Connecting …`,
  reconnecting: () => 'The connection was lost. Reconnecting …',
};
const AGENT = {
  listening: (name) => `${name} is listening`,
  thinking: (name) => `${name} is thinking`,
  speaking: (name) => `${name} is speaking`,
  initializing: (name) => `${name} is getting ready`,
  idle: (name) => `${name} is there`,
};
const QUALITY = { excellent: 'Excellent', good: 'Good', poor: 'Poor', lost: 'Lost' };

export function nameOf(state) {
  const found = state.agents.find((agent) => agent.name === state.agent);
  return found ? titleOf(found) : state.agent || 'the agent';
}

/** The one sentence that tells where the call is. */
export function status(state) {
  const name = nameOf(state);
  if (state.agents.length === 0) return state.problem ? '' : 'Loading …';
  if (state.stage === 'live') return (AGENT[state.agentState] ?? (() => `Connected. ${name} is on the way …`))(name);
  if (state.stage === 'waiting') return waiting(state.waitSeconds);
  if (state.stage === 'starting' && state.session) return `${STAGE.starting(name)} ${lacking(state.session)}`.trim();
  return STAGE[state.stage](name);
}

export const quality = (state) => QUALITY[state.quality] ?? '–';

/** Shown in small print under the status. */
export function hint(state) {
  if (state.notice) return state.notice;
  if (state.isSilent) return 'Your microphone gives no sound. Is it muted, or another one chosen?';
  return state.isMuted && state.stage === 'live' ? 'You are muted.' : '';
}

const waiting = (seconds) => (seconds ? `Trying again in ${seconds} s` : 'Trying again …');

/** What a session that is not Ready yet lacks; its phase where the operator gives no words for it. */
const lacking = (session) => (session.phase === 'Ready' ? '' : session.message || session.phase || '');
