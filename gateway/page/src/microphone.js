// Microphones: the list of devices, the permission, and the open track.
import { createLocalAudioTrack, TrackEvent } from 'livekit-client';
import { startMeter } from './meter.js';

const KIND = 'audioinput';
/** The browser's device id of the system's default microphone. */
const DEFAULT = 'default';

/** Return {id, label} of every microphone. Browsers hide the labels until a microphone has been allowed. */
export async function microphones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices
    .filter((device) => device.kind === KIND && device.deviceId)
    .map((device) => ({ id: device.deviceId, label: device.label || 'Microphone' }));
}

export function onDevicesChanged(callback) {
  navigator.mediaDevices?.addEventListener('devicechange', callback);
}

/** Return true if the browser will not ask for permission. Token and microphone can then be requested in parallel. */
export async function isAllowed() {
  return (await permission())?.state === 'granted';
}

/** Call `callback` when the human allows the microphone in the browser's settings. */
export async function onAllowed(callback) {
  const found = await permission();
  found?.addEventListener('change', () => found.state === 'granted' && callback());
}

/** Return the device constraint. It is exact, because browsers silently ignore one that is only preferred. */
const deviceConstraint = (deviceId) => (deviceId ? { exact: deviceId } : DEFAULT);

/** Switch the track to another microphone. Throws the errors of getUserMedia. */
export const switchDevice = (track, deviceId) => track.setDeviceId(deviceConstraint(deviceId));

/**
 * Open a microphone and meter its level. Throws the errors of getUserMedia. Callbacks: `onSound()` at every sound,
 * `onDeviceChange(deviceId)` when the track restarts, perhaps with another device, and `onMuted()`.
 */
export async function open(deviceId, isMuted, onLevel, { onSound, onDeviceChange, onMuted }) {
  const track = await createLocalAudioTrack(deviceId ? { deviceId: deviceConstraint(deviceId) } : {});
  let stopMeter = startMeter(track.mediaStreamTrack, onLevel, onSound);
  track.on(TrackEvent.Muted, onMuted);
  track.on(TrackEvent.Restarted, () => {
    stopMeter();
    stopMeter = startMeter(track.mediaStreamTrack, onLevel, onSound);
    onDeviceChange(track.mediaStreamTrack.getSettings().deviceId);
  });
  if (isMuted) await track.mute();
  return { track, close: () => (stopMeter(), track.stop()) };
}

/** Return the permission status, or undefined in browsers without a permission of this name. */
async function permission() {
  try {
    return await navigator.permissions.query({ name: 'microphone' });
  } catch {
    return undefined;
  }
}
