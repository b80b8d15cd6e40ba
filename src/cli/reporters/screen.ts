import {stripVTControlCharacters} from 'node:util';

/** The parts of a terminal that a screen needs. */
export interface Terminal {
  write(text: string): unknown;
  readonly columns?: number;
  readonly rows?: number;
  on?(event: 'resize', listener: () => void): unknown;
  off?(event: 'resize', listener: () => void): unknown;
}

const ESCAPE = '\u001b[';
const HIDE_CURSOR = `${ESCAPE}?25l`;
const SHOW_CURSOR = `${ESCAPE}?25h`;
const CLEAR_LINE = `${ESCAPE}K`;
const CLEAR_BELOW = `${ESCAPE}J`;

/**
 * Lines at the bottom of a terminal that are redrawn, below text that stays. Each frame is a single write over the
 * previous one, so that nothing flickers; an unchanged frame is not written.
 */
export class Screen {
  readonly #terminal: Terminal;
  #lines: readonly string[] = [];
  #isHidden = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  get size(): {readonly columns: number; readonly rows: number} {
    return {columns: this.#terminal.columns ?? 80, rows: this.#terminal.rows ?? 24};
  }

  /** @param text text to keep above the lines; ends with a line break unless it is empty */
  draw(lines: readonly string[], text = ''): void {
    const isSame =
      lines.length === this.#lines.length && lines.every((line, at) => line === this.#lines[at]);
    if (isSame && text === '') return;
    const hidden = this.#isHidden ? '' : HIDE_CURSOR;
    const above = text.replaceAll('\n', `${CLEAR_LINE}\n`);
    const below = lines.map((line) => `${line}${CLEAR_LINE}\n`).join('');
    this.#terminal.write(`${hidden}${this.#toTop()}${above}${below}${CLEAR_BELOW}`);
    this.#isHidden = true;
    this.#lines = lines;
  }

  /** Prints a last text, and removes the lines. */
  close(text = ''): void {
    if (!this.#isHidden) {
      if (text !== '') this.#terminal.write(text);
      return;
    }
    this.#terminal.write(`${this.#toTop()}${CLEAR_BELOW}${text}${SHOW_CURSOR}`);
    this.#isHidden = false;
    this.#lines = [];
  }

  /** Moves to the beginning of the first line. A terminal that became narrower has wrapped lines. */
  #toTop(): string {
    const {columns} = this.size;
    const height = this.#lines.reduce((sum, line) => {
      const {length} = stripVTControlCharacters(line);
      return sum + Math.max(1, Math.ceil(length / columns));
    }, 0);
    return height === 0 ? '\r' : `\r${ESCAPE}${height}A`;
  }
}
