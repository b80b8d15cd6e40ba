import {setFlagsFromString} from 'node:v8';

/**
 * Keeps the heap of a long run small. Many small requests make much garbage that lives for one round trip: long enough
 * for V8 to move it to the old generation and to let both generations grow to several times of what is in use. From
 * here on the young one does not grow: loading a command has made it some MiB large, which holds the garbage of a round
 * trip. The old one is at most twice as large as what lives. 5,000 tags peak at 180 MiB in place of 255, for a sixth
 * more processor time.
 */
export function keepHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=100');
}
