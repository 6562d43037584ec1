// Imported first in a worker: its wall clock goes wrong when it is told to. Monotonic time and timers stay right.

const RealDate = Date;
let offsetMs = 0;

globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    if (args.length === 0) super(RealDate.now() + offsetMs);
    else super(...args);
  }

  static now() {
    return RealDate.now() + offsetMs;
  }
};

export function setClockOff(ms) {
  offsetMs = ms;
}

/** Milliseconds on a clock that all processes of the machine share. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}
