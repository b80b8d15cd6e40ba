import {createHash} from 'node:crypto';
import {mkdir, readdir, readFile, rm, stat, writeFile} from 'node:fs/promises';
import {join, relative, resolve} from 'node:path';
import {parseArgs} from 'node:util';
import {executableContents, makeExecutable, packExecutable} from './executable.ts';
import {imageInputs, writeImage} from './image/image.ts';
import {copyImage, inspectImage, runImage} from './image/try-image.ts';
import {type Command, installPackage, packageContents, packPackage} from './npm-package.ts';
import {obstacles, readChangelog} from './preflight.ts';
import {run} from './program.ts';
import {describeRelease, executableName, PROJECT, type Release, THIS_MACHINE} from './release.ts';
import {billOfMaterials} from './sbom.ts';
import {tryCopy, tryVersion} from './try-program.ts';

/*
 * `npm run release -- --dry-run`: makes every artefact of a release and checks it. Publishing is for the workflow of a
 * tag alone, which runs the same with `--tag`, so that nothing of a release comes from somebody's machine.
 */

const USAGE = `Usage: npm run release -- --dry-run | --tag TAG [--part PART]... [--out DIR]

  --dry-run    make and check all artefacts; obstacles to a release are warnings
  --tag TAG    the same for the release of this tag; obstacles end it
  --part PART  only this: package, executable, image, checksums (repeatable)
  --out DIR    where the artefacts go (default: build/release)

Nothing is published from here: push a tag, and .github/workflows/release.yml does it (CONTRIBUTING.md).
`;

const PARTS = ['package', 'executable', 'image', 'checksums'] as const;

type Part = (typeof PARTS)[number];

/** What a part has made and how it was checked, as lines for people. */
type Report = (line: string) => void;

interface Wish {
  readonly tag: string | undefined;
  readonly parts: ReadonlySet<Part>;
  readonly output: string;
}

/** @returns undefined: the usage is all that is wanted */
function readArguments(): Wish | undefined {
  const {values} = parseArgs({
    options: {
      'dry-run': {type: 'boolean', default: false},
      tag: {type: 'string'},
      part: {type: 'string', multiple: true},
      out: {type: 'string', default: join(PROJECT, 'build', 'release')},
    },
  });
  if (values['dry-run'] === (values.tag !== undefined)) return undefined;
  const named = values.part ?? PARTS;
  const parts = PARTS.filter((part) => named.includes(part));
  if (parts.length !== new Set(named).size) return undefined;
  return {tag: values.tag, parts: new Set(parts), output: resolve(values.out)};
}

async function main(): Promise<number> {
  const wish = readArguments();
  if (wish === undefined) {
    process.stderr.write(USAGE);
    return 64;
  }
  const {tag, parts, output} = wish;
  const scratch = join(PROJECT, 'build', 'scratch');
  await mkdir(output, {recursive: true});
  await mkdir(scratch, {recursive: true});
  const release = await describeRelease(output, scratch);
  const begun = performance.now();
  const report: Report = (line) => {
    const seconds = ((performance.now() - begun) / 1000).toFixed(1).padStart(6);
    process.stdout.write(`${seconds} s  ${line}\n`);
  };
  report(`${release.product.name} ${release.version}, commit ${release.revision.slice(0, 12)}`);
  const found = await obstacles(release, tag);
  for (const obstacle of found) report(`not ready: ${obstacle}`);
  if (tag !== undefined && found.length > 0) return 1;

  const missing: string[] = [];
  if (parts.has('package')) await releasePackage(release, report);
  if (parts.has('executable')) await releaseExecutable(release, report);
  if (parts.has('image')) missing.push(...(await releaseImage(release, report)));
  if (parts.has('checksums')) {
    await writeNotes(release, report);
    await writeChecksums(release, report);
  }
  for (const reason of missing) report(`not checked: ${reason}`);
  if (missing.length > 0 && tag !== undefined) return 1;
  report(tag === undefined ? 'dry run: nothing was published' : `ready to be published as ${tag}`);
  return 0;
}

async function releasePackage(release: Release, report: Report): Promise<void> {
  const tarball = await packPackage(release);
  report(await described(tarball));
  for (const [how, command] of await installPackage(release, tarball)) {
    await tryVersion(command, release.version);
    report(`  ${how}: installs without a warning or a dependency, and runs`);
    if (how === 'npm install') await checkCopy(release, command, report);
  }
  await writeBill(release, report, `${release.product.name}-${release.version}`, {
    kind: 'library',
    name: release.product.name,
    packages: await packageContents(),
    withNode: false,
  });
}

async function releaseExecutable(release: Release, report: Report): Promise<void> {
  const file = await makeExecutable(join(release.scratch, 'executable'));
  const archive = await packExecutable(release, file);
  report(`${await described(archive)}, unpacked ${await described(file)}`);
  const command = commandOf(release, file);
  await tryVersion(command, release.version);
  await checkCopy(release, command, report);
  await writeBill(release, report, executableName(release, THIS_MACHINE), {
    kind: 'application',
    name: release.product.name,
    packages: await executableContents(),
    withNode: true,
  });
}

/** @returns what could not be checked on this machine */
async function releaseImage(release: Release, report: Report): Promise<readonly string[]> {
  const inputs = await imageInputs(release);
  const directory = join(release.scratch, 'image');
  const image = await writeImage(release, inputs, directory);
  for (const [tag, digest] of image.digests) report(`image ${tag} ${digest}`);
  const again = await writeImage(release, inputs, join(release.scratch, 'image-again'));
  for (const [tag, digest] of image.digests)
    if (again.digests.get(tag) !== digest) throw new Error(`${tag} differs when it is made again`);
  report('  made twice: the same digests');
  const archive = join(release.output, `${release.product.name}-${release.version}-image.tar`);
  const command = commandOf(release, join(release.scratch, 'executable', 'transship'));
  await copyImage(command, release, image, archive);
  report(`${await described(archive)}: copied through a registry, bills of materials included`);
  const digests = [...image.digests].map(([tag, digest]) => `${digest} ${tag}\n`);
  await writeFile(archive.replace(/\.tar$/, '.digests'), digests.join(''));
  const reasons = [await inspectImage(release, image), await runImage(release, image, archive)];
  const [compared, ran] = reasons;
  if (compared === undefined) report('  skopeo: the same digests');
  if (ran === undefined) report('  podman: runs, copies, and runs scripts in its shell');
  return reasons.filter((reason) => reason !== undefined);
}

async function checkCopy(release: Release, command: Command, report: Report): Promise<void> {
  const files = join(release.scratch, 'tried');
  await rm(files, {recursive: true, force: true});
  await mkdir(files);
  await tryCopy(command, files);
  report('  copies, plans, applies and verifies between two registries');
}

/** A program in a directory, that sees nothing of the user's settings. */
function commandOf(release: Release, file: string): Command {
  return {file, args: [], env: {PATH: process.env['PATH'], HOME: join(release.scratch, 'home')}};
}

async function writeBill(
  release: Release,
  report: Report,
  name: string,
  contents: Parameters<typeof billOfMaterials>[1],
): Promise<void> {
  const file = join(release.output, `${name}.cdx.json`);
  await writeFile(file, await billOfMaterials(release, contents));
  report(`${await described(file)}: valid CycloneDX 1.6`);
}

/** The section of the changelog, as the text of the release. */
async function writeNotes(release: Release, report: Report): Promise<void> {
  const sections = await readChangelog();
  const section = sections.find(({title}) => title === release.version) ?? sections[0];
  if (section === undefined) throw new Error('CHANGELOG.md has no section');
  const file = join(release.output, 'RELEASE-NOTES.md');
  await writeFile(file, `${section.text}\n`);
  report(`${await described(file)}: [${section.title}] of CHANGELOG.md`);
}

/** As `sha256sum --check` reads it, and checked with it. */
async function writeChecksums({output}: Release, report: Report): Promise<void> {
  const names = (await readdir(output)).filter((name) => !name.startsWith('SHA256SUMS'));
  const lines = await Promise.all(
    names.toSorted().map(async (name) => {
      const content = await readFile(join(output, name));
      return `${createHash('sha256').update(content).digest('hex')}  ${name}\n`;
    }),
  );
  const file = join(output, 'SHA256SUMS');
  await writeFile(file, lines.join(''));
  if (process.platform === 'linux')
    await run('sha256sum', ['--check', '--quiet', file], {cwd: output});
  report(await described(file));
}

async function described(file: string): Promise<string> {
  const {size} = await stat(file);
  const unit =
    size < 1e6 ? `${(size / 1024).toFixed(0)} KiB` : `${(size / 1024 / 1024).toFixed(1)} MiB`;
  return `${relative(PROJECT, file)} ${unit}`;
}

process.exitCode = await main();
