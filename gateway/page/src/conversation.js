// The conversation from Connect to Disconnect: microphone, token, room, and new attempts after an unintended end.
import { Call } from './call.js';
import { wait } from './clock.js';
import { mark } from './marks.js';
import * as microphone from './microphone.js';
import { endProblem, explain, GatewayError } from './problems.js';
import { afterDisconnect, Attempts } from './retry.js';
import { watchSession } from './watch.js';

/** After this wait for a token the page shows what keeps the session from being Ready. */
const SLOW_SECONDS = 2;

export class Conversation {
  #stop = new AbortController();
  #skipPause = new AbortController();
  #call;
  #microphone;
  isSuspended = false;

  /** `view` is {dispatch, state(), audio, onAgentLevel, onMicrophoneLevel}. */
  constructor(gateway, storage, view) {
    Object.assign(this, { gateway, storage, view, dispatch: view.dispatch });
    this.#stop.abort();
  }

  /** True from Connect until Disconnect, suspension or a final problem. */
  get isActive() {
    return !this.#stop.signal.aborted;
  }

  /** Connect and stay connected; return when the conversation is over. */
  async start(agent) {
    if (this.isActive) return;
    const { signal } = (this.#stop = new AbortController());
    this.isSuspended = false;
    mark('clicked');
    this.dispatch({ type: 'started' });
    const attempts = new Attempts(this.storage.call?.agent === agent);
    this.#saveCall(agent);
    const problem = await this.#attemptUntilFinal(agent, attempts, signal);
    if (signal.aborted) return;
    this.#stop.abort();
    this.storage.deleteCall();
    this.dispatch({ type: 'failed', problem });
  }

  async stop() {
    this.#stop.abort();
    this.storage.deleteCall();
    this.dispatch({ type: 'stopped' });
    this.#closeMicrophone();
    await this.#call?.leave();
  }

  /** Save the call before the browser unloads or freezes the page; it may come back. */
  suspend() {
    if (!this.isActive) return;
    this.#saveCall(this.view.state().agent);
    this.isSuspended = true;
    this.#stop.abort();
  }

  /** Skip the pause before the next attempt. */
  retryNow() {
    this.#skipPause.abort();
  }

  async mute(isMuted) {
    this.dispatch({ type: 'muted', isMuted });
    try {
      await (isMuted ? this.#microphone?.track.mute() : this.#microphone?.track.unmute());
    } catch (error) {
      this.dispatch({ type: 'microphoneFailed', isMuted: true, problem: explain(error) });
    }
  }

  /** Switch the microphone. If the new one fails, return to the previous one; if that fails too, mute. */
  async useMicrophone(id) {
    const previous = this.view.state().microphone;
    const track = this.#microphone?.track;
    this.dispatch({ type: 'microphone', microphone: id });
    if (!track) return;
    try {
      await microphone.switchDevice(track, id);
    } catch (error) {
      this.dispatch({ type: 'microphoneFailed', microphone: previous, problem: explain(error) });
      await microphone.switchDevice(track, previous).catch(() => track.mute());
    }
  }

  unblockSound() {
    return this.#call?.unblockSound();
  }

  /** Repeat attempts; return the problem that makes another attempt useless. */
  async #attemptUntilFinal(agent, attempts, signal) {
    while (!signal.aborted) {
      const { problem, secondsInRoom } = await this.#attempt(agent, signal);
      if (signal.aborted) return null;
      this.#closeMicrophone();
      const seconds = attempts.nextDelay(problem, secondsInRoom);
      if (seconds === null) return problem;
      await this.#pause(problem, seconds, signal);
    }
    return null;
  }

  /** Make one attempt. Return the problem that ended it and the seconds in the room (null: never joined). */
  async #attempt(agent, signal) {
    let call;
    try {
      const grant = await this.#prepare(agent, signal);
      if (signal.aborted) return {};
      this.dispatch({ type: 'token' });
      this.#call = call = new Call(this.dispatch, this.view.audio, this.view.onAgentLevel);
      await call.join(grant, this.#microphone.track);
      const joinedAt = performance.now();
      if (signal.aborted) return await call.leave(), {};
      const problem = await this.#stayInRoom(call, signal);
      return { problem, secondsInRoom: (performance.now() - joinedAt) / 1000 };
    } catch (error) {
      await call?.leave();
      return { problem: explain(error), secondsInRoom: null };
    }
  }

  /** Get microphone and token in parallel, or the microphone first if the browser has to ask for permission. */
  async #prepare(agent, signal) {
    if (!(await microphone.isAllowed())) await this.#openMicrophone(signal);
    const opened = this.#microphone ? Promise.resolve() : this.#openMicrophone(signal);
    const token = this.#requestToken(agent, signal);
    await Promise.all([opened, token]).catch((error) => {
      this.#endUnusedSession(token, signal);
      throw error;
    });
    if (signal.aborted) this.#endUnusedSession(token, signal);
    return token;
  }

  async #openMicrophone(signal) {
    const { state, onMicrophoneLevel, dispatch } = this.view;
    const { microphone: id, isMuted } = state();
    const callbacks = {
      onSound: () => dispatch({ type: 'soundDetected' }),
      onDeviceChange: (used) => dispatch({ type: 'microphoneChanged', microphone: used }),
      onMuted: () => dispatch({ type: 'mutedRemotely' }),
    };
    const opened = await microphone.open(id, isMuted, onMicrophoneLevel, callbacks);
    if (signal.aborted) return opened.close();
    this.#microphone = opened;
    return dispatch({ type: 'microphones', microphones: await microphone.microphones() });
  }

  async #requestToken(agent, signal) {
    const answered = new AbortController();
    const slow = wait(SLOW_SECONDS, AbortSignal.any([signal, answered.signal]));
    slow.then(() => answered.signal.aborted || signal.aborted || this.#watchPendingSession(agent, answered.signal));
    try {
      const grant = await this.gateway.token(agent);
      mark('token');
      return grant;
    } finally {
      answered.abort();
    }
  }

  /** Show the state of the session while its token is pending. */
  async #watchPendingSession(agent, signal) {
    try {
      const session = await this.gateway.findOrCreateSession(agent);
      if (!signal.aborted) await this.#watch(session.name, signal);
    } catch (error) {
      // The token request gets the same GatewayError and reports it. It notices a silent gateway only much later.
      if (!(error instanceof GatewayError || signal.aborted)) this.dispatch({ type: 'gatewayUnavailable' });
    }
  }

  /** Stay until the call ends. Return the problem, or null if this page ended the call. */
  async #stayInRoom(call, signal) {
    const over = new AbortController();
    this.#watch(call.session, AbortSignal.any([over.signal, signal]));
    const reason = await call.ended;
    over.abort();
    if (signal.aborted) return null;
    const session = await this.gateway.session(call.session).catch(() => this.view.state().session);
    return endProblem(afterDisconnect(reason, session?.endReason), session);
  }

  #watch(name, signal) {
    if (!name) return undefined;
    const onChange = (session) => signal.aborted || this.dispatch({ type: 'session', session });
    const onUnavailable = () => this.dispatch({ type: 'gatewayUnavailable' });
    return watchSession(this.gateway, name, { onChange, onUnavailable, wait, signal });
  }

  /** End the session of a token that stays unused, unless Connect was pressed again in the meantime. */
  #endUnusedSession(token, signal) {
    const isLatest = () => this.#stop.signal === signal;
    token.then((grant) => isLatest() && this.gateway.end(sessionOfToken(grant))).catch(() => {});
  }

  async #pause(problem, seconds, signal) {
    this.#skipPause = new AbortController();
    this.dispatch({ type: 'waiting', problem, seconds });
    await wait(seconds, AbortSignal.any([this.#skipPause.signal, signal]));
    if (!signal.aborted) this.dispatch({ type: 'retrying' });
  }

  /** Save the call for a reload or a restored tab. */
  #saveCall(agent) {
    this.storage.saveCall(agent, this.view.state().isMuted);
  }

  #closeMicrophone() {
    this.#microphone?.close();
    this.#microphone = undefined;
  }
}

/** Return the name of the VoiceSession in a token. */
function sessionOfToken({ participantToken }) {
  const payload = participantToken.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
  return JSON.parse(atob(payload)).attributes['voicesession.session'];
}
