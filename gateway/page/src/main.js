// Composition root: connects state, page, gateway and conversation.
import { LogLevel, setLogLevel, TokenSource } from 'livekit-client';
import { wait } from './clock.js';
import { Conversation } from './conversation.js';
import { Gateway } from './gateway.js';
import * as microphone from './microphone.js';
import { explain } from './problems.js';
import { retryDelay } from './retry.js';
import { initial, reduce } from './state.js';
import { actionOnLoad, chooseAgent, sortAgents, TabStorage } from './tab_storage.js';
import { draw, levels } from './view.js';

const ID_BYTES = 8;

const find = (id) => document.getElementById(id);
const storage = new TabStorage(sessionStorage, randomId, Date.now);
const gateway = new Gateway(storage, TokenSource);
let state = initial;
let isLoading = false;
let skipPause = new AbortController();

function dispatch(event) {
  const before = state;
  state = reduce(before, event);
  if (state !== before) draw(before, state);
}

const conversation = new Conversation(gateway, storage, {
  dispatch,
  state: () => state,
  audio: find('audio'),
  onAgentLevel: levels.agent,
  onMicrophoneLevel: levels.microphone,
});

function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_BYTES));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Load the agents; repeat until the gateway answers or refuses. */
async function load() {
  if (isLoading) return;
  isLoading = true;
  for (let failures = 0; state.agents.length === 0; failures += 1) {
    const problem = await loadOnce().catch(explain);
    if (!problem) break;
    dispatch({ type: 'failed', problem });
    if (!problem.isTransient && !problem.isLimit) break;
    skipPause = new AbortController();
    await wait(retryDelay(failures + 1, problem.retryAfter), skipPause.signal);
  }
  isLoading = false;
}

async function loadOnce() {
  const { defaultAgent } = await gateway.configure();
  const agents = sortAgents(await gateway.agents(), defaultAgent);
  const requested = new URLSearchParams(location.search).get('agent');
  dispatch({ type: 'agents', agents, agent: chooseAgent(agents, requested, defaultAgent) });
  if (agents.length === 0) return { title: 'No agent is available', text: 'Create a VoiceAgent, then try again.' };
  return restoreCall(storage.call);
}

/** Continue the tab's previous call, offer it, or delete it. */
function restoreCall(call) {
  const [{ type } = {}] = performance.getEntriesByType('navigation');
  const action = actionOnLoad(call, type, Date.now());
  if (action === 'none') return storage.deleteCall();
  if (call.muted) dispatch({ type: 'muted', isMuted: true });
  if (action === 'offer') return dispatch({ type: 'callOffered', agent: call.agent });
  return resume(call.agent);
}

function resume(agent) {
  dispatch({ type: 'agentChosen', agent });
  conversation.start(agent);
}

function retry() {
  if (conversation.isActive) conversation.retryNow();
  else if (isLoading) skipPause.abort();
  else if (state.agents.length === 0) load();
  else conversation.start(state.agent);
}

function useKey(event) {
  event.preventDefault();
  storage.key = find('key').value.trim();
  find('key').value = '';
  retry();
}

async function listMicrophones() {
  dispatch({ type: 'microphones', microphones: await microphone.microphones() });
}

find('connect').addEventListener('click', () => {
  if (conversation.isActive) conversation.stop();
  else conversation.start(state.agent);
});
find('mute').addEventListener('click', () => conversation.mute(!state.isMuted));
find('sound').addEventListener('click', () => conversation.unblockSound());
find('retry').addEventListener('click', retry);
find('continue').addEventListener('click', () => resume(state.offer));
find('key-form').addEventListener('submit', useKey);
find('agent').addEventListener('change', (event) => dispatch({ type: 'agentChosen', agent: event.target.value }));
find('microphone').addEventListener('change', (event) => conversation.useMicrophone(event.target.value));
// The browser closes the connection after these events. Suspend first, so that this does not end the call.
for (const event of ['beforeunload', 'pagehide', 'freeze']) addEventListener(event, () => conversation.suspend());
addEventListener('pageshow', (event) => event.persisted && location.reload());
addEventListener('resume', () => conversation.isSuspended && location.reload());
microphone.onDevicesChanged(listMicrophones);
microphone.onAllowed(() => state.problem?.about === 'microphone' && retry());
setLogLevel(LogLevel.warn);
draw(null, state);
listMicrophones();
load();
