import {start} from './start.ts';

/*
 * Where the single executable begins. Node keeps no compiled code for it, so that `main.ts` would make a directory in
 * vain.
 */

void start();
