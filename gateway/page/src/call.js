// One visit to one room: livekit-client's events in, the page's events out.
import { DisconnectReason, Room, RoomEvent, Track } from 'livekit-client';
import { mark } from './marks.js';
import { meter } from './meter.js';

const SESSION = 'voicesession.session';
const STATE = 'lk.agent.state';
const TRANSCRIPTION = 'lk.transcription';
const SEGMENT = 'lk.segment_id';
const FINAL = 'lk.transcription_final';

export class Call {
  #streams = 0;
  #stopMeter = () => {};

  /** `audio` is the element that plays the agent; `level` is told how loud it is. */
  constructor(dispatch, audio, level) {
    Object.assign(this, { dispatch, audio, level });
    this.room = new Room();
    this.ended = new Promise((resolve) => {
      this.room.on(RoomEvent.Disconnected, (reason) => resolve(DisconnectReason[reason] ?? 'UNKNOWN_REASON'));
    });
    this.#listen();
  }

  /** Join and publish the microphone; throws livekit-client's ConnectionError. */
  async join({ serverUrl, participantToken }, track) {
    await this.room.connect(serverUrl, participantToken);
    mark('room');
    this.#tellAgent();
    this.dispatch({ type: 'live' });
    await this.room.localParticipant.publishTrack(track, { source: Track.Source.Microphone });
  }

  /** The name of the VoiceSession, from what the token says about us. */
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
    const agent = () => this.#tellAgent();
    room
      .on(RoomEvent.ParticipantConnected, agent)
      .on(RoomEvent.ParticipantDisconnected, agent)
      .on(RoomEvent.ParticipantAttributesChanged, agent)
      .on(RoomEvent.TrackSubscribed, (track) => this.#play(track))
      .on(RoomEvent.TrackUnsubscribed, (track) => track.detach())
      .on(RoomEvent.SignalReconnecting, () => dispatch({ type: 'reconnecting' }))
      .on(RoomEvent.Reconnecting, () => dispatch({ type: 'reconnecting' }))
      .on(RoomEvent.Reconnected, () => dispatch({ type: 'live' }))
      .on(RoomEvent.LocalAudioSilenceDetected, () => dispatch({ type: 'silent' }))
      .on(RoomEvent.AudioPlaybackStatusChanged, () => dispatch({ type: 'sound', isBlocked: !room.canPlaybackAudio }))
      .on(RoomEvent.ConnectionQualityChanged, (quality, who) => who.isLocal && dispatch({ type: 'quality', quality }))
      .on(RoomEvent.Disconnected, () => this.#stopMeter());
    room.registerTextStreamHandler(TRANSCRIPTION, (reader, sender) => this.#read(reader, sender.identity));
  }

  #tellAgent() {
    const agent = [...this.room.remoteParticipants.values()].find((participant) => participant.isAgent);
    this.dispatch({ type: 'agentState', agentState: agent?.attributes[STATE] ?? '' });
  }

  #play(track) {
    if (track.kind !== Track.Kind.Audio) return;
    mark('track');
    track.attach(this.audio);
    this.#stopMeter();
    this.#stopMeter = meter(track.mediaStreamTrack, this.level, () => mark('audible'));
  }

  /** The agent's words come in pieces of one stream; ours in streams that each tell the segment anew. */
  async #read(reader, identity) {
    const { [SEGMENT]: id = reader.info.id, [FINAL]: final } = reader.info.attributes ?? {};
    const who = identity === this.room.localParticipant.identity ? 'you' : 'agent';
    const line = { type: 'said', id, who, stream: (this.#streams += 1) };
    let text = '';
    try {
      for await (const piece of reader) this.dispatch({ ...line, text: (text += piece), final: false });
    } catch {
      // the room ended in the middle of a word: what came is what there is
    } finally {
      if (text) this.dispatch({ ...line, text, final: who === 'agent' || final === 'true' });
    }
  }
}
