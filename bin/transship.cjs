#!/usr/bin/env node
// Looks at the version of Node before anything is loaded that an old one cannot read. So this file keeps to ECMAScript 5.
'use strict';

var about = require('../package.json');
var needed = /(\d+)\.(\d+)/.exec(about.engines.node);
var found = process.versions.node.split('.');
var isOld = +found[0] < +needed[1] || (+found[0] === +needed[1] && +found[1] < +needed[2]);

if (isOld) {
  process.stderr.write(
    'error: transship needs Node ' +
      needed[0] +
      ' or later, and this is Node ' +
      process.versions.node +
      '\n hint: install a newer Node (https://nodejs.org), put it first in PATH, or take the executable, which needs none: ' +
      about.homepage +
      '/releases\n',
  );
  process.exitCode = 1;
} else {
  require('../dist/cli/main.cjs');
}
