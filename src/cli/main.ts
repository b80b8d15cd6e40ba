#!/usr/bin/env node
import {enableCompileCache} from 'node:module';
import {privateDirectory} from '../places/own-directory.ts';
import {cacheDirectory, homeDirectory} from './user-directories.ts';

// Loading takes half of the time of a short run, and a quarter of that is compilation by V8, so compiled code is kept
// for the next run. If it cannot be stored, it is compiled each time. NODE_COMPILE_CACHE names another directory,
// NODE_DISABLE_COMPILE_CACHE=1 disables the cache.
async function main(): Promise<void> {
  const {NODE_COMPILE_CACHE: named, NODE_DISABLE_COMPILE_CACHE: isOff} = process.env;
  if (!named && !isOff) {
    const cache = cacheDirectory(process.env, homeDirectory());
    await privateDirectory(cache, process.getuid?.()).then(
      () => enableCompileCache(cache),
      // Where it cannot be made, or somebody else could choose what is run, nothing is kept.
      () => undefined,
    );
  }
  const {start} = await import('./start.ts');
  await start();
}

// Not awaited, because the build makes CommonJS of it, which has no top-level await. A rejection ends the process.
void main();
