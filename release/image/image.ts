import {rm} from 'node:fs/promises';
import type {BundledPackage} from '../bundled-packages.ts';
import {executableContents, readExecutable} from '../executable.ts';
import type {Release} from '../release.ts';
import {billOfMaterials, SBOM_TYPE} from '../sbom.ts';
import type {Tree} from '../tar.ts';
import {type Architecture, type DebianPackage, downloadPackages} from './debian-packages.ts';
import {type Descriptor, ImageLayout, type RunConfig} from './image-layout.ts';
import {
  APPLETS,
  BASE_PACKAGES,
  baseTree,
  programTree,
  SHELL_PACKAGE,
  shellTree,
  USER,
  WORK_DIRECTORY,
} from './root-file-system.ts';

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {x64: 'amd64', arm64: 'arm64'};

/** What the image of a platform is made of. */
export interface ImageInput {
  readonly architecture: Architecture;
  /** The released archive of the executable. */
  readonly executable: Tree;
  /** The libraries in the executable, without Node's own. */
  readonly libraries: readonly BundledPackage[];
  readonly base: readonly DebianPackage[];
  readonly shell: DebianPackage;
}

/** A container image: an index with an image for each platform. */
export interface ContainerImage {
  /** The directory of the layout. */
  readonly directory: string;
  /** The name of the image with the program alone, and of the one with a shell. */
  readonly tag: string;
  readonly shellTag: string;
  /** By name. */
  readonly digests: ReadonlyMap<string, string>;
  /** How many documents are about them. */
  readonly referrers: number;
}

/** Finds the executables for Linux among the artefacts, and downloads what their images need. */
export async function imageInputs(release: Release): Promise<readonly ImageInput[]> {
  const inputs: ImageInput[] = [];
  const libraries = await executableContents();
  for (const [arch, architecture] of Object.entries(ARCHITECTURES)) {
    const executable = await readExecutable(release, {platform: 'linux', arch});
    if (executable === undefined) continue;
    const names = [...BASE_PACKAGES, SHELL_PACKAGE];
    const packages = await downloadPackages(names, architecture, release.scratch);
    const shell = packages.find(({name}) => name === SHELL_PACKAGE);
    if (shell === undefined) throw new Error(`APT did not download ${SHELL_PACKAGE}`);
    inputs.push({
      architecture,
      executable,
      libraries,
      shell,
      base: packages.filter((each) => each !== shell),
    });
  }
  if (inputs.length === 0) throw new Error('there is no executable for an image to hold');
  return inputs;
}

/**
 * Writes the images as an OCI layout, each with its bill of materials as a referrer. The program and its libraries are
 * all that is in them; those with a shell have one more layer, for jobs of CI, which run scripts.
 */
export async function writeImage(
  release: Release,
  inputs: readonly ImageInput[],
  directory: string,
): Promise<ContainerImage> {
  await rm(directory, {recursive: true, force: true});
  const layout = new ImageLayout(directory, release.created);
  const annotations = annotationsOf(release);
  const [plain, withShell]: [Descriptor[], Descriptor[]] = [[], []];
  for (const {architecture, executable, libraries, base, shell} of inputs) {
    const layers = [
      await layout.addLayer(baseTree(base, architecture)),
      await layout.addLayer(programTree(executable)),
    ];
    const shellLayer = await layout.addLayer(shellTree(shell, APPLETS));
    const image = async (list: Descriptor[], isShell: boolean): Promise<void> => {
      const used = isShell ? [...layers, shellLayer] : layers;
      const config = runConfig(annotations, isShell);
      const added = await layout.addImage(architecture, used, config, annotations);
      const bill = await billOfMaterials(release, {
        kind: 'container',
        name: `${release.product.name}-image`,
        packages: libraries,
        withNode: true,
        system: {
          architecture,
          distribution: distributionOf(base),
          packages: isShell ? [...base, shell] : base,
        },
      });
      await layout.addReferrer(added, SBOM_TYPE, Buffer.from(bill), {
        'org.opencontainers.image.created': release.created.toISOString(),
      });
      list.push(added);
    };
    await image(plain, false);
    await image(withShell, true);
  }
  const [tag, shellTag] = [release.version, `${release.version}-shell`];
  const digests = new Map<string, string>();
  for (const [name, manifests] of [
    [tag, plain],
    [shellTag, withShell],
  ] as const)
    digests.set(name, (await layout.addIndex(name, manifests, annotations)).digest);
  await layout.finish();
  return {directory, tag, shellTag, digests, referrers: plain.length + withShell.length};
}

function runConfig(labels: Readonly<Record<string, string>>, isShell: boolean): RunConfig {
  return {
    // Runners of CI expect root: they write to the directories of a job as one user, and run its scripts as another.
    User: isShell ? '0:0' : `${USER.id}:${USER.id}`,
    Env: [
      'PATH=/usr/local/bin:/usr/bin:/bin',
      // Where Node looks for the certificates of the system.
      'SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt',
    ],
    WorkingDir: `/${WORK_DIRECTORY}`,
    // An entry point would get the scripts of a job as its arguments.
    ...(isShell ? {Cmd: ['sh']} : {Entrypoint: ['/usr/bin/transship']}),
    Labels: labels,
  };
}

/** image-spec annotations.md */
function annotationsOf({
  product,
  version,
  revision,
  created,
}: Release): Readonly<Record<string, string>> {
  const described = {
    title: product.name,
    description: product.description,
    version,
    revision,
    created: created.toISOString(),
    source: product.homepage,
    url: product.homepage,
    documentation: `${product.homepage}/tree/v${version}/docs`,
    licenses: product.license,
    vendor: product.author,
  };
  return Object.fromEntries(
    Object.entries(described).map(([key, value]) => [`org.opencontainers.image.${key}`, value]),
  );
}

function distributionOf(packages: readonly DebianPackage[]): string {
  const release = packages.flatMap(({files}) => files.get('usr/lib/os-release') ?? [])[0];
  const text = release?.kind === 'file' ? Buffer.from(release.content).toString() : '';
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}="?([^"\n]+)"?$`, 'm').exec(text)?.[1];
  return `${field('ID') ?? 'debian'}-${field('VERSION_ID') ?? 'unknown'}`;
}
