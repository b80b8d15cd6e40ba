#!/usr/bin/env node
import {enableCompileCache} from 'node:module';
import {cacheDirectory, homeDirectory, privateDirectory} from './user-directories.ts';

// Half of what a short run takes is its loading, and a quarter of that is V8's compiling: what it compiled is kept for
// the next run. Where nothing can be kept it is compiled anew; NODE_COMPILE_CACHE names another directory, and
// NODE_DISABLE_COMPILE_CACHE=1 keeps nothing.
async function main(): Promise<void> {
  const {NODE_COMPILE_CACHE: named, NODE_DISABLE_COMPILE_CACHE: isOff} = process.env;
  if (!named && !isOff) {
    const cache = cacheDirectory(process.env, homeDirectory());
    await privateDirectory(cache).then(
      () => enableCompileCache(cache),
      // Where it cannot be made, nothing is kept.
      () => undefined,
    );
  }
  const {start} = await import('./start.ts');
  await start();
}

// Not awaited: the build makes CommonJS of it, which cannot. What it rejects with ends the process.
void main();
