// One call in one LiveKit room: translates livekit-client's events into events of the page.
import { DisconnectReason, Room, RoomEvent, Track } from 'livekit-client';
import { mark } from './marks.js';
import { startMeter } from './meter.js';

const SESSION = 'voicesession.session';
const STATE = 'lk.agent.state';
const TRANSCRIPTION = 'lk.transcription';
const SEGMENT = 'lk.segment_id';
const FINAL = 'lk.transcription_final';

export class Call {
  #streams = 0;
  #stopMeter = () => {};

  /** `audio` is the element that plays the agent; `onLevel` receives the agent's loudness. */
  constructor(dispatch, audio, onLevel) {
    Object.assign(this, { dispatch, audio, onLevel });
    // A page that unloads may come back, however slowly, so only Disconnect leaves the room. Otherwise LiveKit notices
    // the lost connection, and the session waits for reconnectGraceSeconds.
    this.room = new Room({ disconnectOnPageLeave: false });
    this.ended = new Promise((resolve) => {
      this.room.on(RoomEvent.Disconnected, (reason) => resolve(DisconnectReason[reason] ?? 'UNKNOWN_REASON'));
    });
    this.#listen();
  }

  /** Join the room and publish the microphone. Throws livekit-client's ConnectionError. */
  async join({ serverUrl, participantToken }, track) {
    await this.room.connect(serverUrl, participantToken);
    mark('room');
    this.#reportAgentState();
    this.dispatch({ type: 'live' });
    await this.room.localParticipant.publishTrack(track, { source: Track.Source.Microphone });
  }

  /** Name of the VoiceSession, from the attributes in the token. */
  get session() {
    return this.room.localParticipant.attributes[SESSION] ?? '';
  }

  async leave() {
    await this.room.disconnect();
  }

  unblockSound() {
    return this.room.startAudio();
  }

  #listen() {
    const { room, dispatch } = this;
    const reportAgentState = () => this.#reportAgentState();
    room
      .on(RoomEvent.ParticipantConnected, reportAgentState)
      .on(RoomEvent.ParticipantDisconnected, reportAgentState)
      .on(RoomEvent.ParticipantAttributesChanged, reportAgentState)
      .on(RoomEvent.TrackSubscribed, (track) => this.#play(track))
      .on(RoomEvent.TrackUnsubscribed, (track) => track.detach())
      .on(RoomEvent.SignalReconnecting, () => dispatch({ type: 'reconnecting' }))
      .on(RoomEvent.Reconnecting, () => dispatch({ type: 'reconnecting' }))
      .on(RoomEvent.Reconnected, () => dispatch({ type: 'live' }))
      .on(RoomEvent.LocalAudioSilenceDetected, () => dispatch({ type: 'silenceDetected' }))
      .on(RoomEvent.AudioPlaybackStatusChanged, () => dispatch({ type: 'playback', isBlocked: !room.canPlaybackAudio }))
      .on(RoomEvent.ConnectionQualityChanged, (quality, participant) => {
        if (participant.isLocal) dispatch({ type: 'quality', quality });
      })
      .on(RoomEvent.Disconnected, () => this.#stopMeter());
    room.registerTextStreamHandler(TRANSCRIPTION, (reader, sender) => this.#readTranscription(reader, sender.identity));
  }

  #reportAgentState() {
    const agent = [...this.room.remoteParticipants.values()].find((participant) => participant.isAgent);
    this.dispatch({ type: 'agentState', agentState: agent?.attributes[STATE] ?? '' });
  }

  #play(track) {
    if (track.kind !== Track.Kind.Audio) return;
    mark('track');
    track.attach(this.audio);
    this.#stopMeter();
    this.#stopMeter = startMeter(track.mediaStreamTrack, this.onLevel, () => mark('audible'));
  }

  /**
   * Dispatch the text of one stream. The agent's text arrives as pieces of one stream. The human's text arrives as
   * several streams, each with the complete text of its segment.
   */
  async #readTranscription(reader, identity) {
    const { [SEGMENT]: id = reader.info.id, [FINAL]: final } = reader.info.attributes ?? {};
    const speaker = identity === this.room.localParticipant.identity ? 'you' : 'agent';
    const line = { type: 'transcribed', id, speaker, stream: (this.#streams += 1) };
    let text = '';
    try {
      for await (const piece of reader) this.dispatch({ ...line, text: (text += piece), final: false });
    } catch {
      // the room ended in the middle of a stream: keep the text received so far
    } finally {
      if (text) this.dispatch({ ...line, text, final: speaker === 'agent' || final === 'true' });
    }
  }
}
