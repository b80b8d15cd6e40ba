#!/usr/bin/env node
import {enableCompileCache} from 'node:module';
import {cacheFolder, homeFolder, privateFolder} from './user-folders.ts';

// Half of what a short run takes is its loading, and a quarter of that is V8's compiling: what it compiled is kept for
// the next run. Where nothing can be kept it is compiled anew; NODE_COMPILE_CACHE names another folder, and
// NODE_DISABLE_COMPILE_CACHE=1 keeps nothing.
const cache = cacheFolder(process.env, homeFolder());
try {
  if (!process.env['NODE_COMPILE_CACHE'] && !process.env['NODE_DISABLE_COMPILE_CACHE'])
    privateFolder(cache);
} catch {
  // Where it cannot be made, nothing is kept.
}
enableCompileCache(cache);
// Not awaited: the build makes CommonJS of it, which cannot. What it rejects with ends the process.
void import('./start.ts').then(({start}) => start());
