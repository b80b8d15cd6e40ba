import {start} from './start.ts';

/*
 * Where the single executable begins. It holds the compiled code beside the source, so that there is nothing to keep for the next
 * run, as `main.ts` does it.
 */

void start();
