// Elements of the page, drawn from the state. Only changed parts are updated.
import { isBusy, isInCall } from './state.js';
import { displayName } from './tab_storage.js';
import { agentTitle, hintText, qualityText, statusText } from './texts.js';
import { drawTranscript } from './transcript_view.js';

const find = (id) => document.getElementById(id);
const STAGES_WITHOUT_FACTS = new Set(['idle', 'waiting']);
const STAGES_WITHOUT_RETRY = new Set(['starting', 'connecting']);
const BARS = { excellent: 3, good: 2, poor: 1 };

/** Return a function that calls `draw(after, before)` if one of the values `select(state)` differs. */
const onChange = (select, draw) => (before, after) => {
  if (!before || !areEqual(select(before), select(after))) draw(after, before);
};
const areEqual = (a, b) => a.every((value, index) => Object.is(value, b[index]));

const PARTS = [
  onChange((s) => [s.agents, s.agent], drawAgents),
  onChange((s) => [s.stage, s.agents], drawActions),
  onChange((s) => [s.stage, s.agentState], drawOrb),
  onChange((s) => [statusText(s)], (s) => setText('status', statusText(s))),
  onChange((s) => [hintText(s)], (s) => setText('hint', hintText(s))),
  onChange((s) => [s.problem, s.stage], drawProblem),
  onChange((s) => [s.offer, s.agents], drawOffer),
  onChange((s) => [s.session, s.stage, s.quality], drawFacts),
  onChange((s) => [s.microphones, s.microphone], drawMicrophones),
  onChange((s) => [s.isMuted, s.stage], drawMute),
  onChange((s) => [s.isSoundBlocked], (s) => setHidden('sound', !s.isSoundBlocked)),
  onChange((s) => [s.problem], drawKey),
  onChange((s) => [s.lines], drawTranscript),
];

export function draw(before, after) {
  PARTS.forEach((part) => part(before, after));
}

/** Level meters, from 0 to 1. They change at every animation frame, so they bypass the state. */
export const levels = {
  microphone: (level) => (find('level').value = level),
  agent: (level) => find('orb').style.setProperty('--level', level.toFixed(3)),
};

function setText(id, text) {
  find(id).textContent = text;
}

function setHidden(id, isHidden) {
  if (isHidden) moveFocusFrom(find(id));
  find(id).hidden = isHidden;
}

/** Move the focus to Connect before its element disappears; browsers would move it to the top of the page. */
function moveFocusFrom(element) {
  if (element.contains(document.activeElement)) find('connect').focus();
}

function setOptions(select, selected, list) {
  select.replaceChildren(...list.map(([value, text]) => new Option(text, value, false, value === selected)));
}

function drawAgents(state) {
  const option = (agent) => [agent.name, agent.ready ? displayName(agent) : `${displayName(agent)} (not ready)`];
  setOptions(find('agent'), state.agent, state.agents.map(option));
  const title = state.agents.length ? agentTitle(state) : 'Agent';
  setText('agent-name', title);
  document.title = state.agents.length ? `${title} · voicesession` : 'voicesession';
}

function drawActions(state) {
  const connect = find('connect');
  connect.disabled = state.agents.length === 0;
  connect.textContent = isBusy(state) ? 'Disconnect' : 'Connect';
  connect.classList.toggle('leave', isBusy(state));
  find('main').classList.toggle('busy', isBusy(state));
  find('agent').disabled = isBusy(state) || state.agents.length === 0;
}

function drawOrb(state) {
  const { classList } = find('orb');
  const agentState = state.stage === 'live' ? state.agentState : '';
  classList.value = `orb ${state.stage} ${agentState}`.trim();
}

function drawProblem({ problem, stage }) {
  setHidden('problem', !problem);
  setText('problem-title', problem?.title ?? '');
  setText('problem-text', problem?.text ?? '');
  find('retry').textContent = stage === 'waiting' ? 'Try now' : 'Try again';
  setHidden('retry', problem?.about === 'key' || STAGES_WITHOUT_RETRY.has(stage));
}

function drawOffer(state) {
  setHidden('offer', !state.offer);
  const agent = state.agents.find((each) => each.name === state.offer);
  const title = agent ? displayName(agent) : state.offer;
  setText('offer-text', state.offer ? `Your conversation with ${title} may still be open.` : '');
}

function drawFacts(state) {
  find('facts').hidden = STAGES_WITHOUT_FACTS.has(state.stage) || !(state.session || isInCall(state));
  setText('session-name', state.session?.name ?? '–');
  setText('session-phase', state.session?.phase ?? '–');
  setText('quality', qualityText(state));
  find('bars').dataset.bars = BARS[state.quality] ?? 0;
}

function drawMicrophones(state) {
  const aliases = ['default', 'communications'];
  const real = state.microphones.filter((each) => !aliases.includes(each.id));
  const named = real.map((each) => [each.id, each.label]);
  setOptions(find('microphone'), state.microphone, [['', 'Default microphone'], ...named]);
}

function drawMute(state) {
  const mute = find('mute');
  if (!isInCall(state)) moveFocusFrom(mute);
  mute.disabled = !isInCall(state);
  mute.setAttribute('aria-pressed', String(state.isMuted));
}

function drawKey(state) {
  const isNeeded = state.problem?.about === 'key';
  setHidden('key-form', !isNeeded);
  if (isNeeded) find('key').focus();
}
