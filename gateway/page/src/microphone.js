// The microphone: which there are, whether this page may use one, and the track of the one that is used.
import { createLocalAudioTrack, TrackEvent } from 'livekit-client';
import { meter } from './meter.js';

const KIND = 'audioinput';
/** What browsers call the microphone that the person chose for all programs. */
const DEFAULT = 'default';

/** {id, label} of every microphone; labels are empty until one was allowed. */
export async function microphones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices
    .filter((device) => device.kind === KIND && device.deviceId)
    .map((device) => ({ id: device.deviceId, label: device.label || 'Microphone' }));
}

export function onDevicesChanged(tell) {
  navigator.mediaDevices?.addEventListener('devicechange', tell);
}

/** Whether the browser will not ask: the track can then be opened while the token is waited for. */
export async function isAllowed() {
  return (await permission())?.state === 'granted';
}

/** Calls back when the person allows the microphone in the browser's own settings. */
export async function onAllowed(tell) {
  const found = await permission();
  found?.addEventListener('change', () => found.state === 'granted' && tell());
}

/** The constraint for a chosen microphone, empty for the default one: a wish would be granted or not, unseen. */
const only = (deviceId) => (deviceId ? { exact: deviceId } : DEFAULT);

/** Go on with another microphone; throws what getUserMedia throws. */
export const move = (track, deviceId) => track.setDeviceId(only(deviceId));

/**
 * An open track that shows its level. Calls `on.heard()` at every sound, `on.moved(deviceId)` when the track has begun
 * anew, perhaps at another microphone, and `on.muted()`. Throws what getUserMedia throws.
 */
export async function open(deviceId, isMuted, show, on) {
  const track = await createLocalAudioTrack(deviceId ? { deviceId: only(deviceId) } : {});
  let stop = meter(track.mediaStreamTrack, show, on.heard);
  track.on(TrackEvent.Muted, on.muted);
  track.on(TrackEvent.Restarted, () => {
    stop();
    stop = meter(track.mediaStreamTrack, show, on.heard);
    on.moved(track.mediaStreamTrack.getSettings().deviceId);
  });
  if (isMuted) await track.mute();
  return { track, close: () => (stop(), track.stop()) };
}

/** Not every browser knows this permission by name. */
async function permission() {
  try {
    return await navigator.permissions.query({ name: 'microphone' });
  } catch {
    return undefined;
  }
}
