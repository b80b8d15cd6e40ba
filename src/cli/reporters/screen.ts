import {stripVTControlCharacters} from 'node:util';

/** What a screen needs of a terminal. */
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
 * The lines at the bottom of a terminal that are drawn again and again, below text that stays. A frame is one write, over
 * the last one, so that nothing flickers; an equal frame is none.
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

  /** @param text what stays above the lines; ends with a line break if it is not empty */
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

  /** Removes the lines, after a last text. */
  close(text = ''): void {
    if (!this.#isHidden) {
      if (text !== '') this.#terminal.write(text);
      return;
    }
    this.#terminal.write(`${this.#toTop()}${CLEAR_BELOW}${text}${SHOW_CURSOR}`);
    this.#isHidden = false;
    this.#lines = [];
  }

  /** To the beginning of the first line. A terminal that became narrower has broken lines in several. */
  #toTop(): string {
    const {columns} = this.size;
    const height = this.#lines.reduce((sum, line) => {
      const {length} = stripVTControlCharacters(line);
      return sum + Math.max(1, Math.ceil(length / columns));
    }, 0);
    return height === 0 ? '\r' : `\r${ESCAPE}${height}A`;
  }
}
