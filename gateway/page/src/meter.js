// Loudness of an audio track, for the level meters on the page.

const SAMPLES = 512;
/** An RMS of 0.25 of full scale is a loud voice; it fills the meter. */
const LOUD = 0.25;
/** An RMS above this is a sound; the silence of a synthetic voice or a muted line stays far below. */
const AUDIBLE = 0.004;

let context;

/** Call `onLevel` with 0 to 1 at every animation frame, and `onSound` while there is sound; return a stop function. */
export function startMeter(mediaStreamTrack, onLevel, onSound = () => {}) {
  context ??= new AudioContext();
  context.resume().catch(() => {});
  const source = context.createMediaStreamSource(new MediaStream([mediaStreamTrack]));
  const analyser = context.createAnalyser();
  analyser.fftSize = SAMPLES;
  source.connect(analyser);
  const stop = onEveryFrame(() => {
    const loudness = rms(analyser);
    onLevel(Math.min(1, Math.sqrt(loudness / LOUD)));
    if (loudness > AUDIBLE) onSound();
  });
  return () => {
    stop();
    source.disconnect();
    onLevel(0);
  };
}

function rms(analyser) {
  const samples = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(samples);
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}

function onEveryFrame(callback) {
  let frame = requestAnimationFrame(function repeat() {
    callback();
    frame = requestAnimationFrame(repeat);
  });
  return () => cancelAnimationFrame(frame);
}
