// Plans a migration file, and applies the plan within limits: node nightly.ts acme.yaml
import {readFile} from 'node:fs/promises';
import {applyPlan, openSession, planMigration, readStatus, writePlan} from 'transship';

const [file = ''] = process.argv.slice(2);
const token = process.env['GITLAB_TOKEN'];

const session = openSession({
  environment: process.env,
  ...(token ? {gitlab: [{url: 'https://gitlab.example.com', token}]} : {}),
  limits: {maxDuration: 4 * 3_600_000},
});
try {
  const plan = await planMigration(session, {file, text: await readFile(file, 'utf8')});
  const forbidden = plan.checks.filter(({result}) => result === 'forbid');
  for (const {message, hint} of forbidden) console.error(`${message}; ${hint}`);
  await writePlan('acme.plan.json', plan);
  if (forbidden.length === 0) {
    const {result} = await applyPlan(session, plan, {journal: 'acme.journal.ndjson'});
    const {steps} = await readStatus(plan, ['acme.journal.ndjson']);
    console.log(`${result}: ${steps.done} of ${steps.total} images`);
  }
} finally {
  await session.close();
}
