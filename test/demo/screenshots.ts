import {mkdir, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import {renderPlan} from '../../src/report/plan-document.ts';
import {openPage} from '../support/chromium.ts';
import {largePlan, largeRoutes} from '../support/large-plan.ts';
import {provideTool} from '../support/debian-tool.ts';

/** Pictures of reviews in Chromium, at two widths and in both colour schemes: `npm run screenshots [-- FOLDER]`. */

const [folder = 'screenshots'] = process.argv.slice(2);
await mkdir(folder, {recursive: true});
await provideTool('chromium');
/** Something of everything: new, moved, there already. */
const plans = {
  small: largePlan(
    largeRoutes(1, 8, (_repository, tags) => {
      const {'v1.2.0-build.1002': there, 'v1.3.0-build.1003': other} = tags;
      return there === undefined || other === undefined
        ? {}
        : {
            'v1.2.0-build.1002': there.descriptor.digest,
            'v1.4.0-build.1004': other.descriptor.digest,
          };
    }),
  ),
  large: largePlan(
    largeRoutes(60, 12, (repository, tags) => {
      const {'v1.2.0-build.1002': there, 'v1.3.0-build.1003': other} = tags;
      return there === undefined || other === undefined || repository % 7 > 0
        ? {}
        : {
            'v1.2.0-build.1002': there.descriptor.digest,
            'v1.4.0-build.1004': other.descriptor.digest,
          };
    }),
  ),
};
for (const [name, plan] of Object.entries(plans)) {
  const file = join(folder, `${name}.html`);
  await writeFile(file, renderPlan(plan, 'html', {planFile: 'acme.plan.json'}));
  await using page = await openPage(file);
  for (const width of [390, 1280]) {
    for (const scheme of ['light', 'dark'] as const) {
      await page.look(width, scheme);
      const picture = join(folder, `${name}-${width}-${scheme}.png`);
      await writeFile(picture, await page.screenshot(1600));
      process.stdout.write(`${picture}\n`);
    }
  }
}
