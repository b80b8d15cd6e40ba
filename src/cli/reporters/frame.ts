import cliProgress from 'cli-progress';
import {stripVTControlCharacters, styleText} from 'node:util';
import {formatBytes, formatDuration, printable} from '../../report/words.ts';
import {timeLeft} from './progress-text.ts';
import type {Rate} from './rate.ts';
import type {ActiveBlob, RunTally} from './run-tally.ts';

/** The maximum size of a frame. */
export interface FrameSize {
  readonly columns: number;
  readonly rows: number;
}

/** The style of a frame. */
export interface FrameStyle {
  readonly colors: boolean;
  /** Characters beyond ASCII are allowed. */
  readonly unicode: boolean;
}

/**
 * The minimum size, in bytes, of blobs with a line of their own: smaller ones are finished before anyone can read it.
 */
const WORTH_A_LINE = 1024 * 1024;
/** The minimum number of columns for bars of blobs, and for all numbers. */
const WIDE = 70;
const NARROW = 56;
/** The minimum width of a blob's bar, in cells. */
const LEAST_BAR = 10;
const MOST_BAR = 40;
/** The maximum number of displayed waits; the others are counted. */
const WAITS = 2;

const STOPPING = 'stopping: finishing requests; Ctrl-C again to stop now';

type Color = 'red' | 'yellow' | 'cyan' | 'dim';

/** Draws the progress of a run for a terminal size: never more lines or columns than fit. */
export class Frame {
  readonly #size: FrameSize;
  readonly #style: FrameStyle;

  constructor(size: FrameSize, style: FrameStyle) {
    this.#size = size;
    this.#style = style;
  }

  /**
   * @param now ms of `performance.now`
   * @param isStopping whether a signal has requested the end
   */
  run(tally: RunTally, rate: Rate, now: number, isStopping = false): readonly string[] {
    // The last line stays empty, because a line break in it would scroll.
    const room = Math.max(1, this.#size.rows - 1);
    const lines = [this.#total(tally, rate)];
    if (room > 1) lines.push(this.#images(tally, now));
    if (isStopping && lines.length < room) lines.push(this.#colored('yellow', this.#cut(STOPPING)));
    const waits = tally.waits(now);
    for (const {why, until} of waits.slice(0, WAITS)) {
      if (lines.length >= room) break;
      const whole = `${printable(why)}, ${Math.ceil((until - now) / 1000)} s left`;
      const text = whole.length <= this.#columns ? whole : this.#name(why, this.#columns);
      lines.push(this.#colored('yellow', text));
    }
    lines.push(...this.#blobs([...tally.blobs.values()], room - lines.length));
    return lines;
  }

  /** The progress of reading. */
  reading(what: string, done: number, total: number, unit: string): readonly string[] {
    const share = total === 0 ? 0 : done / total;
    const numbers = total === 0 ? '' : `${done} of ${total} ${unit}`;
    const bar = total === 0 ? '' : `${this.#bar(share, this.#barSize())} `;
    const fixed = `reading ${bar}${numbers} `;
    const room = this.#columns - visibleLength(fixed);
    return [room < 8 ? this.#cut(`reading ${numbers}`) : `${fixed}${this.#name(what, room)}`];
  }

  #total(tally: RunTally, rate: Rate): string {
    // If no bytes have to be copied (all mounted), the images show progress.
    const isOfBytes = tally.bytes > 0;
    const [value, whole] = isOfBytes
      ? [tally.moved, tally.bytes]
      : [tally.stepsEnded, Math.max(1, tally.steps)];
    const share = Math.min(1, value / whole);
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    const perSecond = rate.perSecond;
    const parts = [
      ...(isOfBytes ? [amount(value, whole)] : []),
      ...(perSecond === undefined ? [] : [`${formatBytes(perSecond)}/s`]),
      ...(timeLeft(tally, rate) ?? []),
    ];
    const phase = tally.phase === '' ? '' : `${tally.phase} `;
    // If space is short, the amounts are omitted first, because the remaining time matters most.
    for (let left = 0; left <= parts.length; left += 1) {
      const text = [percent, ...parts.slice(left)].join('  ');
      const barSize = Math.min(40, this.#columns - text.length - phase.length - 1);
      if (barSize >= 6) return `${phase}${this.#bar(share, barSize)} ${text}`;
    }
    return this.#cut(`${phase}${percent.trim()}`);
  }

  #images(tally: RunTally, now: number): string {
    const {done, failed, images, retries, began} = tally;
    const left = Math.max(0, images - done - failed);
    const parts = [
      `${done} of ${images} ${images === 1 ? 'image' : 'images'} done`,
      ...(failed === 0 ? [] : [`${failed} failed`]),
      `${left} left`,
      ...(retries === 0 ? [] : [`${retries} ${retries === 1 ? 'retry' : 'retries'}`]),
      formatDuration(now - began),
    ];
    let kept = parts.length;
    while (kept > 1 && parts.slice(0, kept).join(', ').length > this.#columns) kept -= 1;
    const text = this.#cut(parts.slice(0, kept).join(', '));
    return failed === 0 ? text : this.#colored('red', text);
  }

  #blobs(all: readonly ActiveBlob[], room: number): readonly string[] {
    const large = all.filter(({size}) => size >= WORTH_A_LINE);
    const rest = all.length - large.length;
    const isWhole = large.length + (rest > 0 ? 1 : 0) <= room;
    const shown = large.slice(0, isWhole ? large.length : Math.max(0, room - 1));
    const more = all.length - shown.length;
    const longest = Math.max(...shown.map(({name}) => printable(name).length));
    const lines = shown.map((blob) => this.#blob(blob, longest));
    if (more > 0 && lines.length < room) {
      const noun = more === 1 ? 'blob' : 'blobs';
      const text = shown.length === 0 ? `${more} ${noun} on the way` : `and ${more} more ${noun}`;
      lines.push(this.#colored('dim', this.#cut(text)));
    }
    return lines;
  }

  /** @param longest the length of the longest name, in characters; the rest of the space is for the bars */
  #blob({name, moved, size, rate}: ActiveBlob, longest: number): string {
    const share = size === 0 ? 1 : moved / size;
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    const speed = rate.perSecond === undefined ? '' : `${formatBytes(rate.perSecond)}/s`;
    const amounts = [
      percent,
      ...(this.#columns >= NARROW ? [amount(moved, size).padStart(18)] : []),
      speed.padStart(11),
    ].join(' ');
    const free = this.#columns - amounts.length - longest - 4;
    const barSize = Math.min(MOST_BAR, Math.max(LEAST_BAR, free));
    const numbers = this.#columns >= WIDE ? `${this.#bar(share, barSize)} ${amounts}` : amounts;
    const room = this.#columns - visibleLength(numbers) - 3;
    return room < 6 ? this.#cut(numbers) : `  ${this.#name(name, room).padEnd(room)} ${numbers}`;
  }

  /** The end of the name, which distinguishes images. */
  #name(name: string, room: number): string {
    const text = printable(name);
    if (text.length <= room) return text;
    const dots = this.#style.unicode ? '…' : '...';
    return `${dots}${text.slice(text.length - room + dots.length)}`;
  }

  #barSize(): number {
    return this.#columns >= WIDE ? 20 : 8;
  }

  #bar(share: number, barsize: number): string {
    const [full, empty] = this.#style.unicode ? ['█', '░'] : ['=', '-'];
    const bar = cliProgress.Format.BarFormat(share, {
      barsize,
      barCompleteString: full?.repeat(barsize) ?? '',
      barIncompleteString: empty?.repeat(barsize) ?? '',
      barGlue: '',
    });
    return this.#colored('cyan', bar);
  }

  #cut(text: string): string {
    if (text.length <= this.#columns) return text;
    const dots = this.#style.unicode ? '…' : '...';
    return `${text.slice(0, Math.max(0, this.#columns - dots.length))}${dots}`;
  }

  #colored(color: Color, text: string): string {
    return this.#style.colors ? styleText(color, text, {validateStream: false}) : text;
  }

  /** One column less, because some terminals wrap a line that fills them. */
  get #columns(): number {
    return Math.max(10, this.#size.columns - 1);
  }
}

/** `45.0 of 100.0 MiB`, with the unit of the first number if it differs. */
function amount(value: number, whole: number): string {
  const [part, all] = [formatBytes(value), formatBytes(whole)];
  const [number, unit] = part.split(' ');
  return all.endsWith(` ${unit}`) ? `${number} of ${all}` : `${part} of ${all}`;
}

function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length;
}
