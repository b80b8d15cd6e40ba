import {readFile} from 'node:fs/promises';
import {join} from 'node:path';
import {Enums, Models, Serialize, SPDX, Spec, Validation} from '@cyclonedx/cyclonedx-library';
import {type BundledPackage, readPackage} from './bundled-packages.ts';
import type {Architecture, DebianPackage} from './image/debian-packages.ts';
import {PROJECT, type Release} from './release.ts';

/** As registries and attestations name such a document. */
export const SBOM_TYPE = 'application/vnd.cyclonedx+json';

/** Tools whose work is in the artefacts. */
const BUILD_TOOLS = ['rolldown', 'postject', '@cyclonedx/cyclonedx-library'];

/** What an artefact is made of. */
export interface Contents {
  /** What kind of thing it is, for people who search among documents. */
  readonly kind: 'library' | 'application' | 'container';
  readonly name: string;
  readonly packages: readonly BundledPackage[];
  /** Whether Node itself is in it. */
  readonly withNode: boolean;
  readonly system?: {
    readonly architecture: Architecture;
    readonly packages: readonly DebianPackage[];
    /** `debian-12` */
    readonly distribution: string;
  };
}

/** A bill of materials (CycloneDX 1.6, JSON). @throws Error where it does not keep to the published schema */
export async function billOfMaterials(release: Release, contents: Contents): Promise<string> {
  const integrity = await lockedIntegrity();
  const libraries = contents.packages.map((each) => npmComponent(each, integrity));
  link(libraries, contents.packages);
  const {product, version, created} = release;
  const root = new Models.Component(TYPES[contents.kind], contents.name, {
    version,
    bomRef: contents.name,
    description: product.description,
    licenses: licensesOf(product.license),
    externalReferences: new Models.ExternalReferenceRepository([
      new Models.ExternalReference(product.homepage, Enums.ExternalReferenceType.VCS),
    ]),
    ...(contents.kind === 'library' ? {purl: npmUrl(product.name, version)} : {}),
  });
  const others = [...(contents.withNode ? nodeComponents() : []), ...systemComponents(contents)];
  for (const each of [...libraries, ...others]) root.dependencies.add(each.bomRef);
  const tools = await Promise.all(
    BUILD_TOOLS.map(async (name) =>
      npmComponent(await readPackage(join(PROJECT, 'node_modules', name)), integrity, 'tool:'),
    ),
  );
  const bom = new Models.Bom({
    metadata: new Models.Metadata({
      timestamp: created,
      component: root,
      lifecycles: new Models.LifecycleRepository([Enums.LifecyclePhase.Build]),
      tools: new Models.Tools({components: new Models.ComponentRepository(tools)}),
    }),
    components: new Models.ComponentRepository([...libraries, ...others]),
  });
  const text = new Serialize.JsonSerializer(
    new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6),
  ).serialize(bom, {sortLists: true, space: 2});
  await validate(text);
  return `${text}\n`;
}

/** @throws Error where the document does not keep to the schema of CycloneDX */
export async function validate(text: string): Promise<void> {
  const problems = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(text);
  if (problems !== null) throw new Error(`no CycloneDX document: ${JSON.stringify(problems)}`);
}

const TYPES = {
  library: Enums.ComponentType.Library,
  application: Enums.ComponentType.Application,
  container: Enums.ComponentType.Container,
} as const;

function npmComponent(
  {name, version, license, description}: BundledPackage,
  integrity: ReadonlyMap<string, string>,
  prefix = '',
): Models.Component {
  const [scope, bare] = name.startsWith('@') ? name.split('/') : [undefined, name];
  const purl = npmUrl(name, version);
  const sha512 = integrity.get(name);
  return new Models.Component(Enums.ComponentType.Library, bare ?? name, {
    ...(scope === undefined ? {} : {group: scope}),
    version,
    bomRef: `${prefix}${purl}`,
    purl,
    description,
    licenses: licensesOf(license),
    ...(sha512 === undefined
      ? {}
      : {hashes: new Models.HashDictionary([[Enums.HashAlgorithm['SHA-512'], sha512]])}),
  });
}

/** purl-spec, type `npm`. */
function npmUrl(name: string, version: string): string {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}

function licensesOf(license: string): Models.LicenseRepository {
  const model = SPDX.isSupportedSpdxId(license)
    ? new Models.SpdxLicense(license)
    : new Models.LicenseExpression(license);
  return new Models.LicenseRepository([model]);
}

/** Tells which libraries need which. */
function link(components: readonly Models.Component[], packages: readonly BundledPackage[]): void {
  const byName = new Map(packages.map(({name}, index) => [name, components[index]]));
  for (const {name, needs} of packages)
    for (const needed of needs) {
      const other = byName.get(needed);
      if (other !== undefined) byName.get(name)?.dependencies.add(other.bomRef);
    }
}

/** Node, and the libraries in its binary, with the versions that it names. */
function nodeComponents(): readonly Models.Component[] {
  const {node, ...parts} = process.versions;
  const versions = Object.entries(parts).filter(
    ([name, version]) => version !== undefined && !NOT_A_LIBRARY.has(name),
  );
  const inside = versions.map(
    ([name, version]) =>
      new Models.Component(Enums.ComponentType.Library, name, {
        version: String(version),
        bomRef: `node:${name}`,
      }),
  );
  const runtime = new Models.Component(Enums.ComponentType.Application, 'node', {
    version: node,
    bomRef: 'node',
    purl: `pkg:generic/node@${node}`,
    description: 'the runtime',
    licenses: licensesOf('MIT'),
  });
  for (const {bomRef} of inside) runtime.dependencies.add(bomRef);
  return [runtime, ...inside];
}

/** Versions of interfaces and of data. */
const NOT_A_LIBRARY = new Set(['modules', 'napi', 'unicode', 'cldr', 'tz']);

function systemComponents({system}: Contents): readonly Models.Component[] {
  if (system === undefined) return [];
  return system.packages.map(({name, version, source, sha256, files}) => {
    const {architecture, distribution} = system;
    // A plus and a tilde of Debian's versions, a colon of its epochs.
    const encoded = encodeURIComponent(version).replaceAll('~', '%7E');
    const upstream = source === name ? '' : `&upstream=${source}`;
    const vendor = distribution.split('-')[0] ?? 'debian';
    const purl = `pkg:deb/${vendor}/${name}@${encoded}?arch=${architecture}&distro=${distribution}${upstream}`;
    const copyright = files.get(`usr/share/doc/${name}/copyright`);
    return new Models.Component(Enums.ComponentType.Library, name, {
      version,
      bomRef: purl,
      purl,
      licenses: new Models.LicenseRepository(
        debianLicenses(
          copyright?.kind === 'file' ? Buffer.from(copyright.content).toString() : '',
        ).map((each) => new Models.NamedLicense(each)),
      ),
      hashes: new Models.HashDictionary([[Enums.HashAlgorithm['SHA-256'], sha256]]),
    });
  });
}

/** The names of licences in a machine-readable copyright file (DEP-5); for others, where the text is. */
function debianLicenses(copyright: string): readonly string[] {
  const named = [...copyright.matchAll(/^License: *(\S.*)$/gm)].map(([, name = '']) => name.trim());
  return named.length > 0 ? [...new Set(named)].toSorted() : ['see usr/share/doc of the package'];
}

/** SHA-512 of the packages as npm downloaded them, in hex, by name. */
async function lockedIntegrity(): Promise<ReadonlyMap<string, string>> {
  const {packages} = JSON.parse(await readFile(join(PROJECT, 'package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, {readonly integrity?: string}>>;
  };
  return new Map(
    Object.entries(packages).flatMap(([path, {integrity}]) => {
      const name = /^node_modules\/((?:@[^/]+\/)?[^/]+)$/.exec(path)?.[1];
      const sha512 = /^sha512-(.+)$/.exec(integrity ?? '')?.[1];
      return name === undefined || sha512 === undefined
        ? []
        : [[name, Buffer.from(sha512, 'base64').toString('hex')] as const];
    }),
  );
}
