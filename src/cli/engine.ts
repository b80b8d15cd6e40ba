import {getPriority, setPriority} from 'node:os';
import {setFlagsFromString} from 'node:v8';
import type {Report, RunEvent} from '../model/event.ts';

/** How V8 and the system run this process. */
export interface Engine {
  /**
   * For a run of seconds: once the command is loaded. V8's second compiler of three takes 8 % of the processor time where
   * there is nothing to do, and 2 % for 300 images, for functions that have run by the time they are compiled; the
   * third still compiles what runs for long.
   */
  compileLess(): void;
  /**
   * Small, for processor time. Many small requests make much garbage that lives for one round trip: long enough for V8 to
   * move it to the old generation and to let both generations grow to several times of what is in use. From here on
   * the young one does not grow: loading a command has made it some MiB large, which holds the garbage of a round trip.
   * The old one is at most twice as large as what lives. 5,000 tags peak at 190 MiB in place of 260, for a fifth more
   * processor time.
   */
  keepSmall(): void;
  /** As V8 does by itself. */
  letGrow(): void;
  /**
   * Leaves more of a busy processor to others on this machine, such as a registry beside it: what it has got has to be
   * taken before more is of use. Between two registries on two processors 1 GiB in eight layers takes 1 to 2 % less time so:
   * the registries take 5 % less processor time, this process 5 % more. It is the main thread that is put behind, which
   * hashes and sends. Linux weighs it only against what is in the same session (autogroups) and control group, and on
   * Windows it changes nothing.
   */
  giveWay(): void;
}

/** How far behind others, as of nice(2): it takes a third of a processor that another process wants as well. */
const BEHIND = 3;

export const ENGINE: Engine = {
  compileLess() {
    // Node loads what stands behind it at its first use, and can take code that was compiled beforehand only as long as
    // V8's flags are as they were then: 0.8 ms in place of 2.6.
    performance.now();
    setFlagsFromString('--no-maglev');
  },
  keepSmall() {
    setFlagsFromString('--semi-space-growth-factor=1');
    setFlagsFromString('--heap-growing-percent=100');
  },
  letGrow() {
    setFlagsFromString('--semi-space-growth-factor=2');
    setFlagsFromString('--heap-growing-percent=0');
  },
  giveWay() {
    try {
      // Whoever started it with another priority has chosen, which is not ours to undo.
      if (getPriority() === 0) setPriority(BEHIND);
    } catch {
      // A sandbox may forbid it; nothing depends on it.
    }
  },
};

/** Images or blobs up to which a run is over before its heap is large: 300 images take 8 % less processor time so. */
const FEW = 1000;

/** Lets the heap grow until what is told of the run says that it is a large one; what it has grown to then stays. */
export function sizedBy(engine: Pick<Engine, 'keepSmall' | 'letGrow'>, report: Report): Report {
  let size: 'small' | 'large' | undefined;
  let observed = 0;
  return (event) => {
    if (event.type === 'observing') observed += 1;
    const known = Math.max(announced(event), observed);
    if (known > FEW && size !== 'large') {
      if (size === 'small') engine.keepSmall();
      size = 'large';
    } else if (known > 0 && size === undefined) {
      engine.letGrow();
      size = 'small';
    }
    report(event);
  };
}

/** Bytes from which on a run is about bringing them over. 13 MiB in 300 images take 1 % longer behind others. */
const BULK = 64 * 1024 * 1024;

/** Gives way where a run plans to bring many bytes over. */
export function givingWay(engine: Pick<Engine, 'giveWay'>, report: Report): Report {
  return (event) => {
    if (event.type === 'run-started' && event.bytes >= BULK) engine.giveWay();
    report(event);
  };
}

/** Images or blobs that the run has at least. A transfer's repositories are observed one after the other. */
function announced(event: RunEvent): number {
  if (event.type === 'observing') return event.total;
  return event.type === 'run-started' ? Math.max(event.steps, event.blobs) : 0;
}
