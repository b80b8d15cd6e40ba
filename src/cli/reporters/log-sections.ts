import type {RunEvent} from '../../model/event.ts';
import {printable} from '../../report/words.ts';
import type {TextSink} from '../io.ts';

/**
 * Clears the line of a section mark, which is not displayed (GitLab: doc/ci/jobs/job_logs.md, "Custom collapsible
 * sections").
 */
const CLEAR = '\u001b[0K';

/** Collapsible sections in a GitLab job log: reading, applying, and each of several projects. */
export class LogSections {
  readonly #sink: TextSink;
  readonly #now: () => Date;
  readonly #open: string[] = [];
  #projects = 0;

  constructor(sink: TextSink, now: () => Date) {
    this.#sink = sink;
    this.#now = now;
  }

  /** Opens and closes sections. Call it before writing anything about the event. */
  before(event: RunEvent): void {
    switch (event.type) {
      case 'observing':
        if (this.#open.length === 0) this.#begin('transship_read', 'Reading', true);
        break;
      case 'run-started':
        this.#endAll();
        this.#begin('transship_run', 'Applying the plan', false);
        break;
      case 'project-started':
        if (event.of === 1) break;
        this.#projects += 1;
        this.#begin(
          `transship_project_${this.#projects}`,
          `Project ${event.number} of ${event.of}: ${event.from} to ${event.to}`,
          true,
        );
        break;
      default:
        break;
    }
  }

  /** Call it after writing everything about the event. */
  after(event: RunEvent): void {
    if (event.type === 'project-ended' && this.#open.length > 1) this.#end();
    if (event.type === 'run-ended') this.#endAll();
  }

  close(): void {
    this.#endAll();
  }

  #begin(name: string, heading: string, isFolded: boolean): void {
    this.#open.push(name);
    const options = isFolded ? '[collapsed=true]' : '';
    this.#sink.write(
      `${CLEAR}section_start:${this.#seconds()}:${name}${options}\r${CLEAR}${printable(heading)}\n`,
    );
  }

  #end(): void {
    const name = this.#open.pop();
    if (name !== undefined)
      this.#sink.write(`${CLEAR}section_end:${this.#seconds()}:${name}\r${CLEAR}\n`);
  }

  #endAll(): void {
    while (this.#open.length > 0) this.#end();
  }

  #seconds(): number {
    return Math.floor(this.#now().getTime() / 1000);
  }
}
