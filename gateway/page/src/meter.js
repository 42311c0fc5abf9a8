// How loud a track is, for a meter on the page.

const SAMPLES = 512;
/** An RMS of 0.25 of full scale is a loud voice: the meter's end. */
const LOUD = 0.25;
/** An RMS above this is a sound; silence of a synthetic voice or a muted line stays far below. */
const AUDIBLE = 0.004;

let context;

/** Calls `show(level)` with 0 to 1 at every frame of the screen, and `heard()` at the first sound; returns a way to stop. */
export function meter(mediaStreamTrack, show, heard = () => {}) {
  context ??= new AudioContext();
  context.resume().catch(() => {});
  const source = context.createMediaStreamSource(new MediaStream([mediaStreamTrack]));
  const analyser = context.createAnalyser();
  analyser.fftSize = SAMPLES;
  source.connect(analyser);
  const stop = everyFrame(() => {
    const loudness = rms(analyser);
    show(Math.min(1, Math.sqrt(loudness / LOUD)));
    if (loudness > AUDIBLE) heard();
  });
  return () => {
    stop();
    source.disconnect();
    show(0);
  };
}

function rms(analyser) {
  const samples = new Float32Array(analyser.fftSize);
  analyser.getFloatTimeDomainData(samples);
  return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
}

function everyFrame(work) {
  let frame = requestAnimationFrame(function again() {
    work();
    frame = requestAnimationFrame(again);
  });
  return () => cancelAnimationFrame(frame);
}
